"""The printed side of an ablation: its question, its answer, and three tables."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from randommask.experiment.datasets import Dataset
from randommask.experiment.hparams import AblationPage
from randommask.measures import margins
from randommask.measures.gains import COLUMNS
from randommask.measures.records import Record, tasks_of
from randommask.report.ablations.measures import MEAN
from randommask.report.tables import gained, marks, sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

_MEASURES = {
    "reached": ("steps to the first's loss", 0),
    "masked": ("masked, %", 1),
    "purity": ("purity", 3),
    "silhouette": ("silhouette", 3),
    "cls_mass": ("[CLS] mass", 3),
    "entropy": ("entropy", 3),
}
_HOURS = {"hours": "hours", "core_hours": "core-h", "gpu_hours": "GPU-h"}


def sheet_of(
    group: AblationPage,
    answer: Sequence[str],
    gaps: Sequence[str],
    records: Sequence[Record],
    datasets: Sequence[Dataset],
) -> Sheet:
    """The page of a group; `records` are the lines of its csv, of these data sets."""
    name = group.name
    question = group.question or f"How do the encoders of {name} compare?"
    values = {
        (r["row"], r["tokenization"], r["measure"], str(r["of"])): r for r in records
    }
    stubs = list(dict.fromkeys((r["row"], r["tokenization"]) for r in records))
    spans = sorted({int(r["of"]) for r in records if r["measure"] == "loss"})
    tables = (
        _scores(values, stubs, datasets),
        *_gains(values, stubs, datasets),
        _losses(values, stubs, spans),
        _others(values, stubs),
    )
    return Sheet(
        label=f"ablation-{name}",
        title=f"Ablation {name}: {question}",
        notice=group.experiment.notice,
        grids=tuple(table for table in tables if table.columns),
        remarks=(*gaps, *_remarks(group, records, datasets, spans)),
        lead=tuple(answer),
    )


def _grid(stubs: list, columns: list[Column], lines: list[list[Cell]]) -> Grid:
    """Rows by columns; how a row is fine-tuned stands there where rows differ in it."""
    several = len({tokenization for _, tokenization in stubs}) > 1
    heads = ("Row", "Fine-tuning") if several else ("Row",)
    pairs = zip(stubs, lines, strict=True)
    return Grid(
        heads,
        tuple(columns),
        tuple((stub[: len(heads)], tuple(line)) for stub, line in pairs),
    )


def _scores(values: dict, stubs: list, datasets: Sequence[Dataset]) -> Grid:
    names = _names(datasets)
    lines, numbers = [], []
    for stub in stubs:
        found = [values[*stub, "score", name] for name in names]
        numbers.append([record["value"] for record in found])
        lines.append([_score(record) for record in found])
    least = [_smallest(values, stubs, name) for name in names]
    ranked = [list(line) for line in marks.rank_cells(lines, numbers, least)]
    if any(least):
        tokens = {tokenization for _, tokenization in stubs}
        only = tokens.pop() if len(tokens) == 1 else ""  # then there is no column of it
        stubs = [*stubs, ("smallest difference", only)]
        ranked.append([Cell(sheet.number(value)) for value in least])
    return _grid(stubs, [Column(name) for name in names], ranked)


def _names(datasets: Sequence[Dataset]) -> list[str]:
    """The columns: a task each, one of a single data set by its name; and the mean."""
    tasks = tasks_of(dataset.task for dataset in datasets)
    groups = {task: [d.dataset for d in datasets if d.task == task] for task in tasks}
    names = [own[0] if len(own) == 1 else task for task, own in groups.items()]
    return names + ([MEAN] if len(datasets) > 1 else [])


def _smallest(values: dict, stubs: list, name: str) -> float | None:
    """The smallest difference in a column that the seeds, else the test rows, show."""
    differences = [values[*stub, "difference", name] for stub in stubs]
    halves = [
        (record["high"] - record["low"]) / 2
        for record in differences
        if record["low"] is not None
    ]
    if halves:  # Tukey's margin, one for all pairs
        return max(halves)
    gained = [_gain(values, stub, name) for stub in stubs]
    return margins.of_test_rows([record for record in gained if record])


def _gain(values: dict, stub: tuple, name: str) -> Record | None:
    found = values.get((*stub, "gain", name))
    ends = ("value", "low", "high")
    return found and {key: found[end] for key, end in zip(COLUMNS, ends, strict=True)}


def _gains(values: dict, stubs: list, datasets: Sequence[Dataset]) -> list[Grid]:
    """What the rows gain over random weights; no grid where none has a gain."""
    names = _names(datasets)
    rows = [stub for stub in stubs if _gain(values, stub, names[0])]
    lines = [
        [gained.cell(_gain(values, stub, name)) for name in names] for stub in rows
    ]
    grid = _grid(stubs, [Column(name) for name in names], [[]] * len(stubs))
    stub = ("Gain", *grid.stub[1:])
    pairs = zip(rows, lines, strict=True)
    made = tuple((row[: len(stub)], tuple(line)) for row, line in pairs)
    return [Grid(stub, grid.columns, made)] if made else []


def _score(record: Record) -> Cell:
    cell = Cell(sheet.number(record["value"]), flagged=bool(record["note"]))
    if record["low"] is None:
        return cell
    return replace(cell, spread=sheet.number((record["high"] - record["low"]) / 2))


def _losses(values: dict, stubs: list, spans: list[int]) -> Grid:
    lines = [
        [_number(values.get((*stub, "loss", str(span))), 3) for span in spans]
        for stub in stubs
    ]
    return _grid(stubs, [Column(f"loss, spans of {span}") for span in spans], lines)


def _others(values: dict, stubs: list) -> Grid:
    columns = {name: (key, "", digits) for key, (name, digits) in _MEASURES.items()}
    for of in ("pretraining", "fine-tuning"):
        columns |= {f"{of}, {name}": (key, of, 3) for key, name in _HOURS.items()}
    columns = {
        name: column
        for name, column in columns.items()
        if any((values.get((*stub, *column[:2])) or {}).get("value") for stub in stubs)
    }
    lines = [
        [
            _number(values.get((*stub, key, of)), digits)
            for key, of, digits in columns.values()
        ]
        for stub in stubs
    ]
    return _grid(stubs, [Column(name) for name in columns], lines)


def _number(record: Record | None, digits: int) -> Cell:
    value = record and record["value"]
    return Cell() if value is None else Cell(f"{value:.{digits}f}")


def _remarks(
    group: AblationPage,
    records: Sequence[Record],
    datasets: Sequence[Dataset],
    spans: Sequence[int],
) -> Iterable[str]:
    """What a reader has to know of the tables."""
    scores = [record for record in records if record["measure"] == "score"]
    others = ", ".join(d.dataset for d in datasets if d.metric != "mcc")
    metric = f"MCC (Pearson for {others})" if others else "MCC"
    yield f"Scores: {metric} in per cent, a task's the mean over its data sets."
    if max(record["seeds"] for record in scores) == 1:
        yield "One seed, so there is no interval over seeds."
    elif again := len(group.rows[0].repeats):
        yield (
            f"With \u00b1: half of the 95 % interval over {again + 1} pretrainings of"
            f" each encoder, a score the mean over its {len(group.seeds)} fine-tunings"
            " of a data set: both kinds of seeds are in it. Differences have Tukey's"
            " 95 % interval, which holds for all pairs of rows at once; other intervals"
            " are each for itself. Embeddings and attention are of one pretraining."
        )
    else:
        yield (
            "With \u00b1: half of the 95 % interval over the seeds of fine-tuning."
            " Each encoder was pretrained once; what another seed of pretraining would"
            " change is not in it. Differences have Tukey's 95 % interval, which holds"
            " for all pairs of rows at once; other intervals are each for itself."
        )
    yield from _marked(records)
    masked = [r["value"] for r in records if r["measure"] == "masked" and r["value"]]
    if masked and max(masked) - min(masked) > 1:
        yield (
            f"Rows also differ in how much is masked: {min(masked):.1f} to"
            f" {max(masked):.1f} per cent."
        )
    if spans:
        yield (
            "Loss: validation loss in nats a masked token with all spans of one length,"
            " masked alike for all encoders of one k and tokenization; others do not"
            " compare."
        )
    if any(record["measure"] == "reached" for record in records):
        yield (
            "Steps to the first's loss: until the loss of a row, the mean over these"
            f" lengths, was that which {group.rows[0].label} ends with, as far as it"
            " was validated; empty where it never was."
        )
    if any(record["measure"] == "purity" for record in records):
        yield (
            "Purity and silhouette: how the k-mers' embeddings keep to their two"
            " central nucleotides; [CLS] mass and entropy (nats): where attention goes,"
            " means over the layers."
        )
    yield "Hours are those of the jobs behind a row, also where rows share them."
    of = ("gpu_hours", "fine-tuning")
    if any((r["measure"], r["of"]) == of and r["value"] for r in records):
        yield (
            "GPU-hours of fine-tuning: each run counts as one on a GPU of its own, also"
            " where several shared one (gpu_share)."
        )
    single = {dataset.dataset for dataset in datasets}
    for record in scores:
        if record["note"] and record["of"] in single:
            own = {r["tokenization"] for r in scores if r["row"] == record["row"]}
            row = record["row"]
            if len(own) > 1:
                row += f" ({record['tokenization']})"
            yield f"\u2020 {row}, {record['of']}: {record['note']}."


def _marked(records: Sequence[Record]) -> Iterable[str]:
    """What is called best, and how the gains were made."""
    scored = [record for record in records if record["measure"] == "score"]
    made = [record for record in records if record["measure"] == "gain"]
    seeds = max(record["seeds"] for record in scored)
    stubs = dict.fromkeys((x["row"], x["tokenization"]) for x in scored if x["seeds"])
    if len(stubs) > 1:
        yield gained.marked(seeds, bool(made))
    if made:
        above = {(record["row"], record["tokenization"]) for record in made}
        bases = [stub[0] for stub in stubs if stub not in above]
        yield gained.explained(list(dict.fromkeys(bases)), seeds)
