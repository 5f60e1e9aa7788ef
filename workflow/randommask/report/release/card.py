"""The model card of what is published: the encoder's own, with scores and a license.

A hub reads the head (YAML between lines of ---): license, data sets, and the scores as
a `model-index`. Readers get a table, and how to check it.
"""

import re
from collections.abc import Sequence

import yaml

from randommask.errors import InputError
from randommask.experiment.hparams import Preparation, ReleasePage
from randommask.experiment.sections import License
from randommask.measures.records import Record
from randommask.report.tables import scores, sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

METRICS = {"mcc": ("matthews_correlation", "MCC"), "pearson": ("pearsonr", "Pearson")}
"""What a hub calls our metrics, and their printed names."""

TASKS = {"mcc": "DNA sequence classification", "pearson": "DNA sequence regression"}

CHECK = """\
## Check it

```sh
python reproduce.py
```

compares all files but this card with `SHA256SUMS` and recomputes each mean and standard
deviation of the table from the predictions (numpy and pyarrow are needed).
"""

FILES = """\
## Files

| file | holds |
|---|---|
| `config.json`, `model.safetensors` | the weights, as transformers reads them |
| `tokenizer.json`, `tokenizer_config.json`, `vocab.txt` | the tokenizer |
| `recipe.json` | every setting of the pretraining{runs} |
| `history.csv`, `spans.csv` | losses of the pretraining, nats a masked token |
{more}| `SHA256SUMS` | for `sha256sum -c`; this card is not in it, it may be edited |
"""

RUNS = """\
| `table.csv` | the table above with four decimals |
| `runs/<encoder>/<tokens>/<data set>/seed<n>/` | settings, scores, test predictions |
| `reproduce.py` | recomputes the table |
"""


def publish(
    text: str, hparams: ReleasePage, records: list[Record], others: list[Record]
) -> str:
    """The card to publish, from the text of the encoder's own.

    `records` are its lines of the table, `others` those of the controls. Raises
    `InputError` for a text that is no model card.
    """
    try:
        _, head, body = re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)
    except ValueError:
        raise InputError("README.md: no head between two lines of ---") from None
    name, recipe = hparams.encoder, hparams.recipe
    data = yaml.safe_load(head)
    data |= license_of(hparams.license)
    data["datasets"] = list(recipe.pretraining.genomes)
    if made := [record for record in records if record["mean"] is not None]:
        data["metrics"] = sorted({METRICS[record["metric"]][0] for record in made})
        data["model-index"] = [{"name": name, "results": _index(made, hparams)}]
    front = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
    title = f"# {name}\n"
    if recipe.pretrained_as != name:
        title += (
            f"\nThe weights of `{recipe.pretrained_as}` as they were after"
            f" {recipe.step:,} steps.\n"
        )
    body = re.sub(r"^# .*\n", lambda _: title, body, count=1, flags=re.MULTILINE)
    return f"---\n{front}---\n{body}\n{results(hparams, records, others)}"


def license_of(chosen: License | None) -> dict[str, str]:
    """The keys of the head for `experiment.license`; `unknown` where there is none.

    An id by itself is one of the hub's list; with a link it is a license of one's own.
    """
    if chosen is None:
        return {"license": "unknown"}
    if chosen.link is None:
        return {"license": chosen.id.lower()}
    return {
        "license": "other",
        "license_name": chosen.id,
        "license_link": chosen.link,
    }


def _index(records: Sequence[Record], hparams: ReleasePage) -> list[dict]:
    """The scores as a hub reads them, fractions; what they are of stands in the name.

    A made or a cut data set so is not taken for the published one.
    """
    benchmark = hparams.recipe.benchmark
    rows = benchmark.max_rows
    odd = [f"at most {rows} rows"] if rows else []
    if benchmark.drop_leaks:
        odd.append("leaks dropped")
    if notice := hparams.experiment.notice:
        odd.append(notice)
    beside = f" ({'; '.join(odd)})" if odd else ""
    return [
        {
            "task": {"type": "text-classification", "name": TASKS[record["metric"]]},
            "dataset": {
                "name": record["dataset"] + beside,
                "type": record["dataset"],
                "split": "test",
            },
            "metrics": [
                {
                    "type": METRICS[record["metric"]][0],
                    "name": METRICS[record["metric"]][1],
                    "value": round(record["mean"] / 100, 6),
                    "args": {
                        "tokenization": record["tokenization"],
                        "seeds": record["seeds"],
                    },
                }
            ],
        }
        for record in records
    ]


def results(hparams: ReleasePage, records: list[Record], others: list[Record]) -> str:
    """What stands below the encoder's card: scores, how to check them, the files."""
    notice = hparams.experiment.notice
    if not records:
        said = f"> {notice}\n\n" if notice else ""
        files = FILES.format(runs="", more="")
        return f"{said}It stands in no table of its experiment.\n\n{files}"
    every = [*records, *others]
    cells = {(record["row"], record["dataset"]): record for record in every}
    rows = list(dict.fromkeys(record["row"] for record in every))
    lines = [
        (
            (record["dataset"],),
            (
                Cell(METRICS[record["metric"]][1]),
                *(_cell(cells.get((row, record["dataset"]))) for row in rows),
            ),
        )
        for record in {record["dataset"]: record for record in records}.values()
    ]
    columns = (Column("metric", text=True), *map(Column, rows))
    printed = Sheet(
        label="release",
        title="Results",
        notice=notice,
        grids=(Grid(("data set",), columns, tuple(lines)),),
        remarks=(
            *scores.remarks_on(every, "row", "dataset"),
            *scores.distances(every, {record["encoder"] for record in others}),
        ),
        lead=_lead(hparams.recipe.benchmark, records, others),
    )
    files = FILES.format(runs=" and the fine-tunings", more=RUNS)
    return f"#{sheet.markdown(printed)}\n{CHECK}\n{files}"


def _lead(
    benchmark: Preparation, records: list[Record], others: list[Record]
) -> tuple[str, ...]:
    """How the scores were made, and what the controls are there for."""
    rows = benchmark.max_rows
    split = f"Test split, at most {rows:,} rows" if rows else "Test split"
    text = f"{split}, after fine-tuning, at the epoch that was best on dev; per cent."
    if rows:
        text += " Train and dev were cut to as many rows."
    if benchmark.drop_leaks:
        also = {"near": ", or nearly so,", "partners": ", nearly so, or shuffled,"}
        like = also.get(benchmark.drop_leaks, "")
        text += f" Training rows with a sequence{like} of dev or test were dropped."
    text += (
        " Data sets are named as in the paper: EAP is DeepSTARR, others are GUE's or"
        " the trainer's own."
    )
    if not others:
        return (text,)
    count = len({record["row"] for record in records})
    first = "column is" if count == 1 else f"{count} columns are"
    return text, (
        f"The first {first} this encoder, the others are controls: what pretraining"
        " brings is the distance to them."
    )


def _cell(record: Record | None) -> Cell:
    if record is None or record["mean"] is None:
        return Cell()
    return Cell(
        text=sheet.number(record["mean"]),
        spread=sheet.number(record["sd"]),
        flagged=bool(record["note"]),
    )
