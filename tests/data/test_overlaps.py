"""Duplicates and leaks, counted as one would by hand."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from randommask.data import overlaps
from randommask.data.splits import letter_counts, reverse_complements, values

SEQUENCES = st.lists(st.text("ACG", min_size=1, max_size=3), min_size=1, max_size=12)
SPLITS = st.fixed_dictionaries({"train": SEQUENCES, "dev": SEQUENCES})


def column(sequences, cut=0):
    """The sequences in two chunks, the second a slice of something larger."""
    whole = pa.array(["TTT", *sequences], pa.string())
    return pa.chunked_array([whole.slice(1, cut), whole.slice(1 + cut)])


def strand(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


@given(SPLITS, st.integers(0, 12))
def test_counts_are_those_of_a_dictionary(splits, cut):
    columns = {split: column(own, cut) for split, own in splits.items()}
    sequences, regions = overlaps.number(columns, both_strands=False)
    train, dev = Counter(splits["train"]), Counter(splits["dev"])
    both = train.keys() & dev.keys()
    assert overlaps.shared(regions, "train", "dev") == {
        "sequences": len(both),
        "train_rows": sum(train[sequence] for sequence in both),
        "dev_rows": sum(dev[sequence] for sequence in both),
    }
    assert overlaps.repeats(sequences["train"]) == {
        "repeated": sum(count > 1 for count in train.values()),
        "duplicates": sum(count - 1 for count in train.values()),
    }
    labels = np.arange(len(splits["dev"])) % 2
    by_sequence = {}
    for sequence, label in zip(splits["dev"], labels, strict=True):
        by_sequence.setdefault(sequence, set()).add(label)
    assert overlaps.contradictions(sequences["dev"], labels) == sum(
        len(found) > 1 for found in by_sequence.values()
    )


@given(SPLITS, st.integers(0, 12))
def test_a_sequence_and_its_other_strand_are_one_region(splits, cut):
    columns = {split: column(own, cut) for split, own in splits.items()}
    sequences, regions = overlaps.number(columns, both_strands=True)
    train, dev = ({min(s, strand(s)) for s in splits[x]} for x in ("train", "dev"))
    found = overlaps.shared(regions, "train", "dev")
    assert found["sequences"] == len(train & dev)
    assert overlaps.repeats(sequences["train"])["duplicates"] == (
        len(splits["train"]) - len(set(splits["train"]))
    )
    own = set(splits["train"])
    # a palindrome is its own other strand: of it, one sequence is all there can be
    assert overlaps.lone_strands(sequences["train"]) == sum(
        strand(s) not in own or strand(s) == s for s in train & own
    ) + len(train - own)


def test_rows_of_a_region_that_disagree_are_one_region():
    regions = np.array([7, 3, 7, 3, 3, 9])
    assert overlaps.disagreements(regions, np.array([1.0, 2, 1, 2, 2, 5])) == 0
    assert overlaps.disagreements(regions, np.array([1.0, 2, 1, 4, 3, 5])) == 1


@given(SEQUENCES, st.integers(0, 12))
def test_columns_in_chunks_are_read_whole(sequences, cut):
    strands = column(sequences, cut)
    assert reverse_complements(strands).to_pylist() == list(map(strand, sequences))
    counts = letter_counts(strands)
    assert {chr(byte): counts[byte] for byte in np.flatnonzero(counts)} == Counter(
        "".join(sequences)
    )
    numbers = pa.array(list(map(len, ["A", *sequences])))
    chunks = pa.chunked_array([numbers.slice(1, cut), numbers.slice(1 + cut)])
    assert values(chunks).tolist() == list(map(len, sequences))
