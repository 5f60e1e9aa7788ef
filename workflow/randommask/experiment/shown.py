"""Refuse tables, ablations, roles and figures that could not be made in the end.

Each of these would otherwise be found out by the command that makes the page, after
all the training that it is about.
"""

import csv
from collections.abc import Sequence

from randommask.errors import InputError, known, listing
from randommask.experiment import datasets
from randommask.experiment.ablations import has_order, weights
from randommask.experiment.datasets import Dataset
from randommask.experiment.encoders import (
    family,
    is_ours,
    k_of,
    keys,
    kind,
    phases,
    takes_adapters,
    tokenizations,
)
from randommask.experiment.pages import MAPS, SPACES
from randommask.experiment.runs import Table, pretraining_seed, pretrainings
from randommask.experiment.sections import (
    NON_OVERLAPPING,
    Ablation,
    AblationRow,
    Experiment,
    Probe,
    Released,
    Row,
    WithoutEncoder,
)
from randommask.files import at_hand


def check(experiment: Experiment, rows: Sequence[Dataset]) -> None:
    """Raise `InputError` for what is wrong first; `rows` are the datasets there are."""
    tables = {
        "tables.table2": experiment.tables.table2,
        "tables.table3": experiment.tables.table3,
    }
    groups = {f"ablations.{name}": it for name, it in experiment.ablations.items()}
    for where, table in {**tables, **groups}.items():
        _check_table(experiment, where, table, rows)
    for where, table in tables.items():
        _check_published(where, table)
    for where, group in groups.items():
        _check_group(where, group)
        _check_repeats(experiment, where, group)
    _check_roles(experiment)
    _check_maps(experiment)


# --- Rows -----------------------------------------------------------------------------


def _check_table(
    experiment: Experiment, where: str, table: Table, rows: Sequence[Dataset]
) -> None:
    for row in table.rows:
        label = f"{where} row {row.label!r}"
        known(label, row.encoder, experiment.encoders, "encoder")
        _check_tokenization(experiment, label, row)
        _check_adapters(experiment, label, row)
        read = experiment.encoders[row.encoder]
        if isinstance(read, Probe):
            read = experiment.encoders[read.probe.encoder]
        if not isinstance(read, Released | WithoutEncoder):
            _check_lengths(experiment, label, row, rows)
    if table.datasets == "all":
        return
    names = [row.dataset for row in rows]
    if experiment.benchmark.include == "present":  # some may lie elsewhere
        names = [row.dataset for row in datasets.read(experiment.benchmark.datasets)]
    for name in table.datasets:
        known(f"{where}.datasets", name, names, "dataset")


def _check_tokenization(experiment: Experiment, where: str, row: Row) -> None:
    """The encoder reads the tokens that the row wants."""
    tokens = row.tokenization
    reads = family(experiment, row.encoder)
    if reads is None:
        expected, why = experiment.encoders[row.encoder].reads
        if tokens != expected:
            raise InputError(
                f"{where}: tokenization {tokens}, expected {expected}: "
                f"{row.encoder} {why}"
            )
        return
    readable = tokenizations(reads)
    if readable is not None and tokens not in readable:
        raise InputError(
            f"{where}: tokenization {tokens} does not fit encoder {row.encoder}, "
            f"expected {' or '.join(readable)}"
        )


def _check_adapters(experiment: Experiment, where: str, row: Row) -> None:
    """An encoder that is fine-tuned by adapters has layers for them."""
    if isinstance(experiment.encoders[row.encoder], Probe):
        return  # which trains nothing of it
    reads = family(experiment, row.encoder)
    own = experiment.encoders[row.encoder].finetune
    lora = (own.given() if own else {}).get("lora", experiment.finetune.lora)
    if reads and lora and not takes_adapters(reads):
        raise InputError(
            f"{where}: finetune.lora, expected null for {row.encoder}: the family "
            f"{reads} has no layers for adapters"
        )


def _check_lengths(
    experiment: Experiment, where: str, row: Row, rows: Sequence[Dataset]
) -> None:
    """Refuse a row whose datasets have more tokens than its encoder positions."""
    own = experiment.encoders[row.encoder].finetune
    given = own.given() if own else {}
    if given.get("truncate", experiment.finetune.truncate):
        return
    entry = keys(experiment, row.encoder)
    positions = experiment.architectures[entry.architecture].positions
    step = entry.k if row.tokenization == NON_OVERLAPPING else 1
    longest = max(rows, key=lambda dataset: dataset.bases)
    tokens = (longest.bases - entry.k) // step + 3
    if tokens > positions:
        raise InputError(
            f"{where}: {longest.dataset} has {tokens} tokens, "
            f"expected at most the {positions} positions of {row.encoder}"
        )


def _check_published(where: str, table: Table) -> None:
    """A row stands beside one that the paper printed."""
    if not any(row.published for row in table.rows):
        return
    name = where.rpartition(".")[2]
    path = at_hand(f"config/published/{name}.csv")
    with open(path, encoding="utf-8", newline="") as file:
        printed = list(csv.DictReader(file))
    column = "pretrained" if name == "table2" else "row"
    names = list(dict.fromkeys(line[column] for line in printed))
    for row in table.rows:
        if row.published is None:
            continue
        known(f"{where} row {row.label!r}", row.published, names, "published row")
        tokens = {
            line.get("finetune_tokenization", row.tokenization)
            for line in printed
            if line[column] == row.published
        }
        if row.tokenization not in tokens:
            raise InputError(
                f"{where} row {row.label!r}: published {row.published} is printed "
                f"with {' or '.join(sorted(tokens))} tokens, found {row.tokenization}"
            )


# --- Ablations ------------------------------------------------------------------------


def _check_group(where: str, group: Ablation) -> None:
    """Raise `InputError` for rows that a reader, or the axis, cannot tell apart."""
    seen: dict[tuple, int] = {}
    for number, row in enumerate(group.rows, start=1):
        name = f"{where} row {row.label!r}"
        _check_position(name, row, group)
        tokens = row.tokenization
        first = seen.setdefault(("label", row.label, tokens), number)
        if first < number:
            raise InputError(
                f"{name}: row {first} has this label and {tokens} tokens too"
            )
        key = ("encoder", row.series, row.encoder, tokens)
        if (first := seen.setdefault(key, number)) < number:
            raise InputError(
                f"{name}: {row.encoder} with {tokens} tokens is row {first} already"
            )


def _check_repeats(experiment: Experiment, where: str, group: Ablation) -> None:
    """Every encoder of a group with seeds of pretraining is pretrained with each."""
    if not (seeds := group.pretraining_seeds):
        return
    if len(seeds) < 2:
        raise InputError(f"{where}.pretraining_seeds: found 1, expected at least 2")
    for row in group.rows:
        name = f"{where} row {row.label!r}"
        entry = experiment.encoders[row.encoder]
        read = entry.probe.encoder if isinstance(entry, Probe) else row.encoder
        if not is_ours(experiment, read):
            found = kind(experiment, read)
            raise InputError(
                f"{name}: {read} is {found}, expected one of ours in a group "
                "with pretraining_seeds"
            )
        own = pretraining_seed(experiment, row.encoder)
        if own not in seeds:
            raise InputError(
                f"{name}: {row.encoder} has seed {own}, expected one of the "
                f"pretraining_seeds {listing(seeds)}"
            )
        for seed, other in pretrainings(experiment, row.encoder, seeds).items():
            found = pretraining_seed(experiment, other)
            if found != seed:
                raise InputError(
                    f"encoders.{other}: seed {found}, expected {seed}: by this name it "
                    f"repeats {row.encoder}"
                )


def _check_position(name: str, row: AblationRow, group: Ablation) -> None:
    """Check that a row lies along the group's axis in the way of the first row."""
    if group.axis is None:
        for key in ("at", "series"):
            if getattr(row, key) is not None:
                raise InputError(f"{name}: {key!r}, but the group has no 'axis'")
        return
    if row.at is None:
        raise InputError(f"{name}: no 'at', which the group's axis asks for")
    first = group.rows[0]
    if (row.series is None) != (first.series is None):
        found, wanted = ("no", "one") if row.series is None else ("a", "none")
        raise InputError(f"{name}: {found} series, expected {wanted} as in row 1")
    kinds = [isinstance(one.at, str) for one in (row, first)]
    if kinds[0] != kinds[1]:
        wanted = "a text" if kinds[1] else "a number"
        raise InputError(f"{name}: at {row.at!r}, expected {wanted} as in row 1")


# --- Roles and figures ----------------------------------------------------------------


def _check_roles(experiment: Experiment) -> None:
    roles = experiment.roles.given()
    for role, name in roles.items():
        where = f"roles.{role}"
        known(where, name, experiment.encoders, "encoder")
        if not is_ours(experiment, name):
            found = kind(experiment, name)
            raise InputError(f"{where}: {name} is {found}, expected one of ours")
        k = k_of(experiment, name)
        if k % 2 or (role in SPACES and k < 4):
            least = " from 4 on" if role in SPACES else ""
            raise InputError(
                f"{where}: {name} has k {k}, expected an even number{least}"
            )
    if "randommask" in roles:  # Figure 1 draws a span that is longer than a k-mer's
        longest = phases(experiment, roles["randommask"])[-1].max_span
        if longest <= (k := experiment.pretrain.k):
            raise InputError(
                f"roles.randommask: {roles['randommask']} ends with max_span "
                f"{longest}, expected more than pretrain.k {k}"
            )
    baseline, rows = roles.get("baseline"), experiment.tables.table3.rows
    if baseline and rows and baseline not in [row.encoder for row in rows]:
        raise InputError(
            f"tables.table3: no row of {baseline}, which is roles.baseline"
        )


def _check_maps(experiment: Experiment) -> None:
    """t-SNE has neighbours enough, and attention is asked for tokens that there are."""
    roles = experiment.roles.given()
    grouped = dict.fromkeys(
        row.encoder for group in experiment.ablations.values() for row in group.rows
    )
    mapped = [roles[role] for role in SPACES if role in roles]
    mapped += [name for name in grouped if has_order(experiment, name)]
    perplexity = experiment.figures.tsne.perplexity
    for name in mapped:
        kmers = 4 ** k_of(experiment, name)
        if perplexity >= kmers / 3:
            raise InputError(
                f"figures.tsne.perplexity: found {perplexity}, expected less than a "
                f"third of the {kmers} k-mers of {name}"
            )
    watched = [roles[role] for role in MAPS if role in roles]
    watched += [name for name in grouped if weights(experiment, name)]
    tokens = experiment.figures.attention.tokens
    for name in watched:
        positions = experiment.architectures[
            keys(experiment, name).architecture
        ].positions
        if tokens > positions:
            raise InputError(
                f"figures.attention.tokens: found {tokens}, expected at most the "
                f"{positions} positions of {name}"
            )
