r"""Make a folder to publish: an encoder, how it was made, and what its runs scored.

    python -m randommask.report.release --encoder results/encoders/randommask \
        --pretrained results/pretrain/randommask/step-480000 \
        --runs results/finetune --datasets config/datasets.tsv \
        --hparams '{"experiment": ..., "encoder": "randommask", "license": null,
                    "table": {"rows": [...], "datasets": [...]},
                    "controls": {"rows": [...], "datasets": [...]}, "recipe": {...}}' \
        --output results/release/randommask

The folder holds the weights, the tokenizer, the model card with the scores, recipe.json
with every setting, the history of pretraining up to these weights, and the metrics and
the predictions on the test split of each fine-tuning run behind the encoder's rows of
its table, and of the controls beside them. All are copies, to be edited freely. A run
that is missing or cannot be read stops it; with `--partial` its number is left out, and
the card says so. Who has only the folder checks it by `python reproduce.py` in there.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from randommask import files
from randommask.encoders import folder
from randommask.errors import InputError, run
from randommask.experiment.hparams import ReleasePage, ShownRows
from randommask.experiment.releases import RUN
from randommask.measures import runs
from randommask.measures.records import Record, read_datasets, write_csv
from randommask.measures.scores import table3
from randommask.report.release import card, reproduce

CARD, SUMS, TABLE = "README.md", "SHA256SUMS", "table.csv"
HISTORY = ("history.csv", "spans.csv")
COLUMNS = (
    "row",
    "encoder",
    "tokenization",
    "dataset",
    "metric",
    "mean",
    "sd",
    "seeds",
    "note",
)


def release(
    encoder: Path,
    pretrained: Path,
    finetuned: Path,
    listed: Path,
    hparams: ReleasePage,
    output: Path,
    *,
    partial: bool = False,
) -> None:
    """Write the folder; `InputError` where a file of it is missing."""
    with files.make_aside(output) as aside:
        aside.mkdir()
        for name in folder.names(encoder):
            _take(encoder / name, aside / name)
        for name in HISTORY:
            text = _first_steps(pretrained / name, hparams.recipe.step)
            files.write_text(aside / name, text)
        files.write_json(aside / "recipe.json", hparams.recipe.given())
        problems: list[str] = []
        own, others = (
            _read(finetuned, listed, table, hparams.recipe.seeds, problems)
            for table in (hparams.table, hparams.controls)
        )
        if not partial:
            runs.check_complete(problems)
        for record in (*own, *others):
            _publish_runs(finetuned, record, hparams.recipe.seeds, aside)
        if own:
            lines = [
                {key: record[key] for key in COLUMNS} for record in (*own, *others)
            ]
            write_csv(aside / TABLE, lines)
            shutil.copyfile(reproduce.__file__, aside / "reproduce.py")
        text = (aside / CARD).read_text(encoding="utf-8")
        files.write_text(aside / CARD, card.publish(text, hparams, own, others))
        files.write_text(aside / SUMS, sums(aside))


def _take(source: Path, output: Path) -> None:
    """Copy a file: a link, edited before it is published, would change the results."""
    if not source.exists():
        raise InputError(f"{source}: no such file, expected it for the release")
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, output)


def _first_steps(path: Path, last: int) -> str:
    """The lines of a history up to step `last`; the segment may have gone on."""
    if not path.exists():
        raise InputError(f"{path}: no such file, expected it for the release")
    header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return header + "".join(
        line for line in lines if int(line.partition(",")[0]) <= last
    )


def _read(
    finetuned: Path,
    listed: Path,
    table: ShownRows,
    seeds: Sequence[int],
    problems: list[str],
) -> list[Record]:
    """A record per row and data set; runs that cannot be read go to `problems`."""
    datasets = read_datasets(listed, table.datasets)
    return table3(finetuned, table.rows, datasets, seeds, {}, problems)


def _publish_runs(
    finetuned: Path, record: Record, seeds: Sequence[int], aside: Path
) -> None:
    """Copy the runs behind one line of the table."""
    cell = Path(record["encoder"], record["tokenization"], record["dataset"])
    for seed in runs.read_seeds(finetuned, *cell.parts, seeds, []):
        for name in RUN:
            place = cell / f"seed{seed}" / name
            _take(finetuned / place, aside / "runs" / place)


def sums(made: Path) -> str:
    """The text of SHA256SUMS, which `sha256sum -c` reads too; not of the card.

    Its head may be edited on a hub.
    """
    paths = sorted(path for path in made.rglob("*") if path.is_file())
    return "".join(
        f"{files.sha256(path)}  {path.relative_to(made).as_posix()}\n"
        for path in paths
        if path != made / CARD
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags and write the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.report.release", description=__doc__.splitlines()[0]
    )
    for flag in ("--encoder", "--pretrained", "--runs", "--datasets"):
        parser.add_argument(flag, type=Path, required=True)
    parser.add_argument("--output", type=files.new_folder, required=True)
    parser.add_argument("--hparams", required=True)
    parser.add_argument("--partial", action="store_true", help="of the runs there are")
    flags = parser.parse_args(argv)
    release(
        flags.encoder,
        flags.pretrained,
        flags.runs,
        flags.datasets,
        ReleasePage.parse(flags.hparams),
        flags.output,
        partial=flags.partial,
    )


if __name__ == "__main__":
    run(main)
