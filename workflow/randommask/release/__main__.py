r"""Make a folder to publish: an encoder, how it was made, and what its runs scored.

    python -m randommask.release --encoder results/encoders/randommask \
        --pretrained results/pretrain/randommask/step-480000 \
        --runs results/finetune --datasets config/datasets.tsv \
        --hparams '{"experiment": ..., "encoder": "randommask", "rows": [...],
                    "datasets": [...], "recipe": {...}}' \
        --output results/release/randommask

The folder holds the weights, the tokenizer, the model card with the scores, recipe.json
with every setting, the history of pretraining, and of each fine-tuning run behind the
encoder's rows of its table the metrics and the predictions of the test split. Who has
only the folder checks it all by `python reproduce.py` in there.
"""

import argparse
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from randommask import files
from randommask.checkpoint import ENCODER_FILES, link_or_copy
from randommask.datasets import Dataset
from randommask.errors import InputError, run
from randommask.experiment import read_hparams
from randommask.release import reproduce
from randommask.tables import sheet
from randommask.tables.records import Record, percent, read_datasets, write_csv

CARD, SUMS, TABLE = "README.md", "SHA256SUMS", "table.csv"
HISTORY = ("history.csv", "spans.csv")
RUN = ("metrics.json", "predictions.parquet")

CHECK = f"""\
## Check it

```sh
python reproduce.py
```

recomputes every score above from the published predictions (numpy and pyarrow are
needed) and compares all files with `{SUMS}`. `recipe.json` has every setting.
"""


def release(
    encoder: Path,
    pretrained: Path,
    finetuned: Path,
    listed: Path,
    hparams: dict[str, Any],
    output: Path,
) -> None:
    """Write the folder; `InputError` where a file of it is missing."""
    datasets = read_datasets(listed, hparams["datasets"])
    with files.write_aside(output) as aside:
        aside.mkdir()
        for name in ENCODER_FILES:
            _take(encoder / name, aside / name)
        for name in HISTORY:
            _take(pretrained / name, aside / name)
        files.write_json(aside / "recipe.json", hparams["recipe"])
        records = []
        for row in hparams["rows"]:
            for dataset in datasets:
                records.append(_publish_runs(finetuned, row, dataset, hparams, aside))
        if records:
            write_csv(aside / TABLE, records)
            shutil.copyfile(reproduce.__file__, aside / "reproduce.py")
        card = aside / CARD
        text = card.read_text(encoding="utf-8")
        card.unlink()  # a second name of the encoder's own
        files.write_text(card, text + results(records, hparams["experiment"]))
        files.write_text(aside / SUMS, sums(aside))


def _take(source: Path, output: Path) -> None:
    """Give a file a second name in the folder."""
    if not source.exists():
        raise InputError(f"{source}: no such file, expected it for the release")
    output.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(source, output)


def _publish_runs(
    finetuned: Path, row: Record, dataset: Dataset, hparams: dict, aside: Path
) -> Record:
    """Take the runs of one cell; return its line of the table, in per cent."""
    seeds = hparams["recipe"]["seeds"]
    cell = Path(row["tokenization"]) / dataset.dataset
    scores = []
    for seed in seeds:
        for name in RUN:
            source = finetuned / row["encoder"] / cell / f"seed{seed}" / name
            _take(source, aside / "runs" / cell / f"seed{seed}" / name)
        scores.append(100 * files.read_json(source.with_name(RUN[0]))["score"])
    return {
        "row": row["label"],
        "tokenization": row["tokenization"],
        "dataset": dataset.dataset,
        "metric": dataset.metric,
        "mean": percent(statistics.fmean(scores)),
        "sd": percent(statistics.stdev(scores)) if len(scores) > 1 else None,
        "seeds": " ".join(map(str, seeds)),
    }


def results(records: Sequence[Record], experiment: dict[str, str]) -> str:
    """What stands below the encoder's model card: its scores after fine-tuning."""
    notice = f"\n> {experiment['notice']}\n" if experiment["notice"] else ""
    if not records:
        return (
            f"{notice}\nIt stands in no table of its experiment. See `recipe.json`.\n"
        )
    lines = [
        "| fine-tuned | data set | metric | per cent | sd | seeds |",
        "|---|---|---|---:|---:|---:|",
    ]
    for record in records:
        cells = (
            record["tokenization"],
            record["dataset"],
            record["metric"],
            sheet.number(record["mean"]),
            sheet.number(record["sd"]),
            str(len(record["seeds"].split())),
        )
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines)
    return (
        f"\n## Results\n{notice}\nTest split, best epoch on dev.\n\n{table}\n\n{CHECK}"
    )


def sums(folder: Path) -> str:
    """The text of SHA256SUMS, which `sha256sum -c` reads too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(
        f"{files.sha256(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in paths
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags and write the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.release", description=__doc__.splitlines()[0]
    )
    for flag in ("--encoder", "--pretrained", "--runs", "--datasets", "--output"):
        parser.add_argument(flag, type=Path, required=True)
    parser.add_argument("--hparams", required=True)
    flags = parser.parse_args(argv)
    release(
        flags.encoder,
        flags.pretrained,
        flags.runs,
        flags.datasets,
        read_hparams(flags.hparams, ("encoder", "rows", "datasets", "recipe")),
        flags.output,
    )


if __name__ == "__main__":
    run(main)
