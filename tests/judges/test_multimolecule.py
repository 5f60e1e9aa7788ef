"""Raw DNA to ids: a saved folder's tokenizer against multimolecule's for DNABERT.

multimolecule is no package of requirements.lock, for it brings a dozen others and their
licence; without it this is skipped. To judge: `pip install multimolecule`.
"""

import numpy as np
import pytest
from transformers import AutoTokenizer

from randommask import kmers
from randommask.encoders import tokenizer

SEQUENCES, K, LONGEST = 1_000, 6, 600
LETTERS = "ACGTacgt" * 12 + "UuNnRYSWKMBDHV"
PARTS = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


@pytest.fixture(scope="module")
def theirs():
    """Their tokenizer, with DNABERT's order of words and its names of the specials."""
    reason = "multimolecule is not installed; it is not in requirements.lock"
    multimolecule = pytest.importorskip("multimolecule", reason=reason)
    from multimolecule.tokenisers.alphabet import Alphabet

    names = dict(zip(PARTS, kmers.SPECIALS, strict=True))
    words = Alphabet("ATCG", prepend_tokens=tuple(kmers.SPECIALS), nmers=K)
    return multimolecule.DnaTokenizer(
        alphabet=words, nmers=K, eos_token=names["sep_token"], **names
    )


def test_ids_of_raw_dna(theirs, tmp_path, verdict):
    """Both cases, U, unknown and ambiguous letters, and some shorter than a word."""
    tokenizer.write_bert(tmp_path, K, kmers.OVERLAPPING, LONGEST)
    ours = AutoTokenizer.from_pretrained(tmp_path)
    random = np.random.default_rng(20)
    sequences = [
        "".join(random.choice(list(LETTERS), size))
        for size in random.integers(1, LONGEST, SEQUENCES)
    ]
    differ = sum(
        ours(sequence)["input_ids"] != theirs(sequence)["input_ids"]
        for sequence in sequences
    )
    unknown = sum(ours(sequence)["input_ids"].count(1) > 0 for sequence in sequences)
    assert SEQUENCES // 2 < unknown < SEQUENCES
    what = f"ids of raw DNA, sequences of {SEQUENCES:,} that differ"
    verdict(what, "multimolecule's DnaTokenizer", differ, 0)
