"""Tables 1, 4 and 5: what the data sets are, and how an encoder is fine-tuned on them.

They come from `config/datasets.tsv` and from the experiment's own settings, not from
the runs.
"""

from pathlib import Path
from typing import Any

from randommask.experiment.datasets import Dataset
from randommask.measures.records import Record, read_csv, tasks_of
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

TABLE1 = (
    "task",
    "type",
    "species",
    "sequence_length",
    "single_nucleotide",
    "regional_level",
    "datasets",
)
RECIPE = ("recipe", "setting", "group", "value", "printed", "used")

_TITLES = {
    "table4": "Table 4. Fine-tuning, the paper's first table of settings",
    "table5": "Table 5. Fine-tuning, the paper's second table of settings",
}
_MARKS = {True: "yes", False: "no"}
_GROUPS = {"TF-M": "TF", "TF-H": "TF"}
_ORDER = ("EMP", "TF", "CPD", "PD", "SSP", "EAP")
"""The order in which the appendix prints its columns."""

_NAMES = {
    "optimizer": "Optimizer",
    "betas": "Optimizer momentum",
    "batch_size": "Batch size",
    "epochs": "Training epochs",
    "learning_rate": "Learning rate",
    "weight_decay": "Weight decay",
}


_KINDS = {"classification": "CLS", "multilabel": "MLC", "regression": "REG"}


def table1(datasets: list[Dataset]) -> list[Record]:
    """A record per task; where its data sets differ, every value is listed."""
    lines = []
    for task in tasks_of(dataset.task for dataset in datasets):
        own = [dataset for dataset in datasets if dataset.task == task]
        kinds = [_KINDS[d.type] for d in own]
        lines.append(
            {
                "task": task,
                "type": _listed(kinds),
                "species": _listed([dataset.species for dataset in own]),
                "sequence_length": _listed([dataset.bases for dataset in own]),
                "single_nucleotide": _listed(
                    [_MARKS[d.single_nucleotide] for d in own]
                ),
                "regional_level": _listed([_MARKS[d.regional] for d in own]),
                "datasets": len(own),
            }
        )
    return lines


def table1_sheet(records: list[Record], notice: str) -> Sheet:
    """Table 1 as printed: properties by tasks."""
    properties = {
        "Task type": "type",
        "Species": "species",
        "Sequence length": "sequence_length",
        "Single nucleotide": "single_nucleotide",
        "Regional level": "regional_level",
        "Data sets": "datasets",
    }
    marks = {"yes": "\u2713", "no": "-"}
    lines = []
    for name, key in properties.items():
        texts = [str(record[key]) for record in records]
        cells = tuple(Cell(marks.get(text, text)) for text in texts)
        lines.append(((name,), cells))
    return Sheet(
        label="table1",
        title="Table 1. The downstream tasks",
        notice=notice,
        grids=(
            Grid(
                ("Downstream task",),
                tuple(Column(record["task"]) for record in records),
                tuple(lines),
            ),
        ),
    )


def recipe(
    name: str,
    used: bool,
    settings: dict[str, Any],
    by_dataset: dict[str, dict[str, Any]],
    datasets: list[Dataset],
    printed: dict[tuple[str, str], str],
) -> list[Record]:
    """A record per setting and group of tasks; the mouse and human TF sets are one.

    `used` says whether the experiment's runs follow the recipe; `settings` hold for
    every group, `by_dataset` for one data set each; `printed` is what the paper prints
    of a setting and a group.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for dataset in datasets:
        group = _GROUPS.get(dataset.task, dataset.task)
        groups.setdefault(group, []).append(by_dataset[dataset.dataset])
    own = dict.fromkeys(key for chosen in by_dataset.values() for key in chosen)
    lines = []
    for setting in _printed_order([*settings, *own]):
        for group in sorted(groups, key=_place):
            if setting in own:
                values = [_text(chosen.get(setting, "")) for chosen in groups[group]]
            else:
                values = [_text(settings[setting])]
            lines.append(
                {
                    "recipe": name,
                    "setting": setting,
                    "group": group,
                    "value": _listed(values),
                    "printed": printed.get((setting, group), ""),
                    "used": _MARKS[used],
                }
            )
    return lines


def read_printed(path: Path, name: str) -> dict[tuple[str, str], str]:
    """What the paper prints in one of its two tables, by setting and group of tasks."""
    lines = read_csv(path, ("table", "setting", *_ORDER))
    return {
        (line["setting"], group): line[group]
        for line in lines
        if line["table"] == name
        for group in _ORDER
    }


def recipe_sheet(records: list[Record], notice: str) -> Sheet:
    """Table 4 or 5: what the paper prints, and apart from it what it does not.

    The second are our own settings, and those of the paper's that are others here.
    """
    name = records[0]["recipe"]
    groups = tuple(dict.fromkeys(record["group"] for record in records))
    by_setting: dict[str, dict[str, Record]] = {}
    for record in records:
        by_setting.setdefault(record["setting"], {})[record["group"]] = record
    printed, ours = [], []
    for setting, own in by_setting.items():
        heading = (_NAMES.get(setting, setting.replace("_", " ").capitalize()),)
        cells = {
            key: tuple(Cell(str(own[group][key])) for group in groups)
            for key in ("printed", "value")
        }
        if any(cell.text for cell in cells["printed"]):
            printed.append((heading, cells["printed"]))
        if cells["printed"] != cells["value"]:
            ours.append((heading, cells["value"]))
    columns = tuple(Column(group) for group in groups)
    grids = (
        Grid(("Printed by the paper",), columns, tuple(printed)),
        Grid((f"Ours, of the recipe {name}",), columns, tuple(ours)),
    )
    return Sheet(
        label=name,
        title=_TITLES[name],
        notice=notice,
        grids=tuple(grid for grid in grids if grid.lines),
        remarks=(
            "Ours: what the paper does not print, and what is another here.",
            "These settings made the runs of this experiment."
            if records[0]["used"] == "yes"
            else "Given for comparison: this experiment's runs have other settings, "
            "which each metrics.json holds.",
        ),
    )


def _place(group: str) -> int:
    """Where the appendix prints a group; tasks that it does not have come last."""
    return _ORDER.index(group) if group in _ORDER else len(_ORDER)


def _printed_order(settings: list[str]) -> list[str]:
    """The settings the paper prints, in its order, then the others."""
    printed = list(_NAMES)
    others = [name for name in dict.fromkeys(settings) if name not in printed]
    return [name for name in printed if name in settings] + others


def _text(value: Any) -> str:
    """A setting as the paper would print it: 3e-5, 1e-4."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if not 0 < abs(value) < 0.001:
        return f"{value:g}"
    digits, exponent = f"{value:e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def _listed(values: list[str]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))
