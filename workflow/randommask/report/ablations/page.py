"""The printed side of an ablation: its question, its answer, and three tables."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from randommask.experiment.datasets import Dataset
from randommask.experiment.hparams import AblationPage
from randommask.measures.records import Record, tasks_of
from randommask.report.ablations.measures import MEAN
from randommask.report.tables import marks, sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

_MEASURES = {
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
        _losses(values, stubs, spans),
        _others(values, stubs),
    )
    return Sheet(
        label=f"ablation-{name}",
        title=f"Ablation {name}: {question}",
        notice=group.experiment.notice,
        grids=tuple(table for table in tables if table.columns),
        remarks=(*gaps, *_remarks(records, datasets, spans)),
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
    tasks = tasks_of(dataset.task for dataset in datasets)
    groups = {task: [d.dataset for d in datasets if d.task == task] for task in tasks}
    # a task of one data set goes by the data set's name
    names = [own[0] if len(own) == 1 else task for task, own in groups.items()]
    names += [MEAN] if len(datasets) > 1 else []
    lines, numbers = [], []
    for stub in stubs:
        found = [values[*stub, "score", name] for name in names]
        numbers.append([record["value"] for record in found])
        lines.append([_score(record) for record in found])
    ranked = marks.rank_cells(lines, numbers)
    return _grid(stubs, [Column(name) for name in names], list(map(list, ranked)))


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
    records: Sequence[Record], datasets: Sequence[Dataset], spans: Sequence[int]
) -> Iterable[str]:
    """What a reader has to know of the tables."""
    scores = [record for record in records if record["measure"] == "score"]
    others = ", ".join(d.dataset for d in datasets if d.metric != "mcc")
    metric = f"MCC (Pearson for {others})" if others else "MCC"
    yield f"Scores: {metric} in per cent, a task's the mean over its data sets."
    if max(record["seeds"] for record in scores) == 1:
        yield "One seed, so there is no interval."
    else:
        yield (
            "With \u00b1: half of the 95 % interval over the seeds of fine-tuning."
            " Each encoder was pretrained once; what another seed of pretraining would"
            " change is not in it. Differences have Tukey's 95 % interval, which holds"
            " for all pairs of rows at once; other intervals are each for itself."
        )
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
