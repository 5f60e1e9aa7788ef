"""Make one benchmark dataset ready for fine-tuning: checked rows, counts and leaks.

Command (rule `prepare`)::

    python -m randommask.data.prepare --source resources/gue \
        --datasets config/datasets.tsv --dataset EMP-H3 \
        --hparams '{"max_rows": null, "drop_leaks": false, "k": 6, "seed": 0}' \
        --output results/benchmark/EMP-H3

It reads the three splits as published (`randommask.data.splits`) and writes
`{train,dev,test}.parquet`, with the columns `sequence` (upper case) and `label`, or
`label_<target>` for each target of a regression, and `summary.json`. What cannot be
right stops it with one line that names file and row. What may be right but is not as
published (other row counts, other lengths, letters such as N, sequences found in two
splits) stands under `warnings` in the summary, and on stderr. Rows are first cut to
`max_rows`, then compared between splits, then dropped where that is asked for: `leaks`
tells what was found before the drop, `splits` what the files hold. Leaks are counted by
sequences and by rows; in DeepSTARR, which holds both strands of every region, by
regions: its two strands belong in one split.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from randommask import files
from randommask.data import fetched, overlaps
from randommask.data.alike import LEVELS, Alike
from randommask.data.sampling import sample
from randommask.data.splits import letter_counts, read_split, values
from randommask.errors import InputError, run
from randommask.experiment import datasets
from randommask.experiment.datasets import SPLITS, Dataset
from randommask.experiment.hparams import Preparation

LEAKS = (("train", "dev"), ("train", "test"), ("dev", "test"))


def prepare(
    source: Path, dataset: Dataset, settings: Preparation, output: Path
) -> None:
    """Read, check, cut and write the three splits of `dataset`.

    `output` becomes a folder with the files that the module's docstring names. Raises
    `InputError` for a bad input.
    """
    fetched.verify(source)
    tables, warnings = _read_cut(source, dataset, settings)
    both_strands = dataset.source == "deepstarr"
    sequences, regions = overlaps.number(
        {split: table["sequence"] for split, table in tables.items()}, both_strands
    )
    leaks = {f"{a}-{b}": overlaps.shared(regions, a, b) for a, b in LEAKS}
    warnings += [
        f"{pair}: sequences in both: {found['sequences']}"
        for pair, found in leaks.items()
        if found["sequences"]
    ]
    if both_strands:
        is_whole = settings.max_rows is None
        warnings += _strands(tables, sequences if is_whole else {}, regions)
    if settings.drop_leaks:
        warnings += _drop_leaks(settings.drop_leaks, tables, sequences, regions)
    _check_trainable(source, dataset, tables["train"])
    warnings += _undefined(tables)

    with files.make_aside(output) as aside:
        aside.mkdir()
        summaries = {}
        for split, table in tables.items():
            path = aside / f"{split}.parquet"
            pq.write_table(table, path, compression="zstd")
            summaries[split] = {
                **_describe(table, dataset),
                **overlaps.repeats(sequences[split]),
                "sha256": files.sha256(path),
            }
            warnings += _contradictions(split, table, sequences[split])
        files.write_json(
            aside / "summary.json",
            {
                "dataset": dataset.dataset,
                "task": dataset.task,
                "type": dataset.type,
                "classes": dataset.classes,
                "targets": list(dataset.targets),
                "published": dataset.rows,
                "bases": dataset.bases,
                "settings": settings.values(),
                "splits": summaries,
                "leaks": leaks,
                "warnings": warnings,
            },
        )
    for warning in warnings:
        print(f"warning: {dataset.dataset} {warning}", file=sys.stderr)


def _drop_leaks(
    level: bool | str,
    tables: dict[str, pa.Table],
    sequences: dict[str, np.ndarray],
    regions: dict[str, np.ndarray],
) -> list[str]:
    """Take the training rows away that give away a row of dev or test; say how many.

    True is what `exact` is: the same sequence, or region.
    """
    leaked = np.isin(regions["train"], np.union1d(regions["dev"], regions["test"]))
    if level in ("near", "partners"):
        columns = {split: table["sequence"] for split, table in tables.items()}
        alike = Alike({split: own.to_pylist() for split, own in columns.items()})
        leaked |= alike.leaking("train", LEVELS[level])
    tables["train"] = tables["train"].filter(pa.array(~leaked))
    sequences["train"] = sequences["train"][~leaked]
    dropped = np.count_nonzero(leaked)
    whose = "their like" if level in ("near", "partners") else "them"
    said = f"train: rows dropped because dev or test has {whose}: {dropped}"
    return [said] if dropped else []


def _read_cut(
    source: Path, dataset: Dataset, settings: Preparation
) -> tuple[dict[str, pa.Table], list[str]]:
    """Read the splits and cut them to `max_rows`; return them with the warnings."""
    warnings: list[str] = []
    tables = {}
    for index, split in enumerate(SPLITS):
        table, notes = read_split(source, dataset, split, settings.k)
        warnings += notes
        warnings += _published_differences(dataset, split, table)
        if settings.max_rows is not None and table.num_rows > settings.max_rows:
            warnings.append(
                f"{split}: cut from {table.num_rows} to {settings.max_rows} rows"
            )
            labels = values(table.column(1))  # or the first of several targets
            kept = sample(labels, settings.max_rows, (settings.seed, index))
            table = table.take(pa.array(kept))
        tables[split] = table
    return tables, warnings


def _published_differences(dataset: Dataset, split: str, table: pa.Table) -> list[str]:
    """Say where rows, lengths, letters or labels are not as published."""
    found = []
    if dataset.rows[split] not in (None, table.num_rows):
        found.append(f"{split}: {table.num_rows} rows, published {dataset.rows[split]}")
    lengths = values(pc.binary_length(table["sequence"]))
    if others := np.count_nonzero(lengths != dataset.bases):
        found.append(
            f"{split}: sequences of another length: {others} "
            f"({lengths.min()} to {lengths.max()} bases, published {dataset.bases})"
        )
    counts = letter_counts(table["sequence"])
    if counts.sum() > counts[list(b"ACGT")].sum():
        plain = pc.match_substring_regex(table["sequence"], "^[ACGT]*$")
        other = table.num_rows - pc.sum(plain).as_py()
        found.append(f"{split}: sequences with letters other than A, C, G, T: {other}")
    if dataset.type == "classification":
        seen = len(np.unique(values(table["label"])))
        if seen < dataset.classes:
            found.append(f"{split}: {seen} classes occur, expected {dataset.classes}")
    return found


def _strands(
    tables: dict[str, pa.Table], sequences: overlaps.Numbers, regions: overlaps.Numbers
) -> list[str]:
    """Say which regions lack a strand, or have other values on the other strand.

    `sequences` is empty where rows were cut, and strands are missing for that reason.
    """
    found = []
    for split, table in tables.items():
        if split in sequences and (n := overlaps.lone_strands(sequences[split])):
            found.append(f"{split}: regions of which one strand is missing: {n}")
        for name in table.column_names[1:]:
            if differ := overlaps.disagreements(regions[split], values(table[name])):
                found.append(
                    f"{split}: regions whose strands differ in {name}: {differ}"
                )
    return found


def _check_trainable(source: Path, dataset: Dataset, train: pa.Table) -> None:
    """Refuse a training split without rows, or with nothing to tell apart."""
    where = f"{source}: {dataset.dataset}"
    if train.num_rows == 0:
        raise InputError(f"{where}: train has no row that is not in dev or test")
    expected = f"{dataset.classes} classes" if dataset.classes else "numbers that vary"
    for name in train.column_names[1:]:
        labels = values(train[name])
        if (labels == labels[0]).all():
            raise InputError(
                f"{where}: every train {name} is {labels[0]}, expected {expected}"
            )


def _undefined(tables: dict[str, pa.Table]) -> list[str]:
    """Say of which splits no score is defined, as there is nothing to tell apart."""
    found = []
    for split in ("dev", "test"):
        for name in tables[split].column_names[1:]:
            labels = values(tables[split][name])
            if (labels == labels[0]).all():
                score = "MCC" if name == "label" else "correlation"
                every = f"every {name} is {labels[0]}"
                found.append(f"{split}: {every}, {score} will be undefined")
    return found


def _contradictions(split: str, table: pa.Table, sequences: np.ndarray) -> list[str]:
    """Count the sequences that stand in a split with more than one label."""
    if "label" not in table.column_names:
        return []
    count = overlaps.contradictions(sequences, values(table["label"]))
    return [f"{split}: sequences with more than one label: {count}"] if count else []


def _describe(table: pa.Table, dataset: Dataset) -> dict:
    """Sum up a split: rows, lengths, share of G and C, labels.

    `gc` is a share of the letters A, C, G and T; `sd` divides by the number of rows.
    """
    lengths = values(pc.binary_length(table["sequence"]))
    counts = letter_counts(table["sequence"])
    known, strong = counts[list(b"ACGT")].sum(), counts[list(b"GC")].sum()
    if dataset.type == "classification":
        counts = np.bincount(values(table["label"]), minlength=dataset.classes)
        labels = {str(label): int(count) for label, count in enumerate(counts)}
    else:
        labels = {}
        for target in dataset.targets:
            column = values(table[f"label_{target}"])
            labels[target] = {"mean": float(column.mean()), "sd": float(column.std())}
    return {
        "rows": table.num_rows,
        "min_bases": int(lengths.min()),
        "max_bases": int(lengths.max()),
        "gc": float(strong / known) if known else None,
        "labels": labels,
    }


def main(argv: list[str] | None = None) -> None:
    """Read the command line and prepare one dataset."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="downloaded folder")
    parser.add_argument("--datasets", type=Path, required=True, help="datasets.tsv")
    parser.add_argument("--dataset", required=True, help="a name in datasets.tsv")
    parser.add_argument("--hparams", required=True, help="JSON: see Preparation")
    parser.add_argument("--output", type=files.new_folder, required=True, help="folder")
    args = parser.parse_args(argv)
    listed = datasets.read(args.datasets)
    prepare(
        args.source,
        datasets.find(listed, args.dataset, args.datasets),
        Preparation.parse(args.hparams),
        args.output,
    )


if __name__ == "__main__":
    run(main)
