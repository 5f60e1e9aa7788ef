"""How fast training batches are made, beside the ways of others: one Markdown table.

    PYTHONPATH=workflow python bench/batches.py

512 sequences of 512 tokens from a made genome; one thread; sequences a second of
processor time, medians of alternating repeats. The others' ways are written here
plainly, after what their published code does: DNABERT masks with sets in a loop over
sequences and centres, and pads lists of ids; HyenaDNA reads an interval of the FASTA
for each sample and looks its letters up one by one. Where theirs call a slow library
function for a simple thing, the simple thing stands here.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch
from pyfaidx import Fasta
from transformers import PreTrainedTokenizer

from randommask import kmers, masking
from randommask.data import shards
from randommask.data.windows import Corpus

SEQUENCES = TOKENS = 512
CHROMOSOMES, BASES = 4, 8_000_000
REPEATS = 7
IGNORED = -100
NEIGHBOURS = (-2, -1, 1, 2, 3)  # masked with a centre by DNABERT, k = 6
SPECIAL_IDS = frozenset(range(kmers.NUM_SPECIAL))
VOCABULARY, CENTERS = kmers.vocab_size(6), 0.025


# --- Others' ways ---------------------------------------------------------------------


def replace_tokens(inputs: torch.Tensor, masked: torch.Tensor) -> None:
    """80 % [MASK], 10 % random, 10 % kept, in place, as DNABERT's code does it."""
    hidden = torch.bernoulli(torch.full(inputs.shape, 0.8)).bool() & masked
    inputs[hidden] = kmers.MASK
    drawn = torch.bernoulli(torch.full(inputs.shape, 0.5)).bool() & masked & ~hidden
    words = torch.randint(VOCABULARY, inputs.shape, dtype=torch.long)
    inputs[drawn] = words[drawn]


def dnabert_masks(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """DNABERT's way: spans of six, sets of positions in a Python loop."""
    inputs, labels = ids.clone(), ids.clone()
    chance = torch.full(ids.shape, CENTERS)
    special = [[int(i in SPECIAL_IDS) for i in row] for row in ids.tolist()]
    chance.masked_fill_(torch.tensor(special, dtype=torch.bool), 0.0)
    masked = torch.bernoulli(chance).bool()
    for row, centers in enumerate(masked):
        end = torch.where(chance[row] != 0)[0].tolist()[-1]
        chosen = set(torch.where(centers)[0].tolist())
        positions = set(chosen)
        for center in chosen:
            for offset in NEIGHBOURS:
                if 1 <= center + offset <= end:
                    positions.add(center + offset)
        masked[row][list(positions)] = True
    labels[~masked] = IGNORED
    replace_tokens(inputs, masked)
    return inputs, labels


def loop_masks(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """RandomMask written down plainly: a loop over sequences and centres."""
    inputs, labels = ids.clone(), ids.clone()
    masked = torch.zeros(ids.shape, dtype=torch.bool)
    centers = torch.rand(ids.shape) < CENTERS
    for row, center in centers.nonzero().tolist():
        m = int(torch.randint(6, 15, ()))
        masked[row, max(center - (m - 1) // 2, 0) : center + m // 2 + 1] = True
    masked &= ids >= kmers.NUM_SPECIAL
    labels[~masked] = IGNORED
    replace_tokens(inputs, masked)
    return inputs, labels


def padded(rows: list[list[int]]) -> torch.Tensor:
    """DNABERT's way to a batch: lists of ids, made long before, as padded tensors."""
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(
        tensors, batch_first=True, padding_value=kmers.PAD
    )


class CharacterTokenizer(PreTrainedTokenizer):
    """Letters one by one, as HyenaDNA's tokenizer."""

    def __init__(self) -> None:
        self.words = {"[CLS]": 0, "[SEP]": 1, "[PAD]": 4, "[UNK]": 6}
        self.words |= {letter: 7 + i for i, letter in enumerate("ACGTN")}
        super().__init__(
            cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]"
        )

    @property
    def vocab_size(self) -> int:
        """Number of words."""
        return len(self.words)

    def get_vocab(self) -> dict[str, int]:
        """Word to id."""
        return dict(self.words)

    def _tokenize(self, text: str, **_: object) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.words.get(token, self.words["[UNK]"])

    def _convert_id_to_token(self, index: int) -> str:
        return next(word for word, number in self.words.items() if number == index)


def hyenadna_windows(
    fasta: Fasta, tokenizer: CharacterTokenizer, rng: np.random.Generator
) -> torch.Tensor:
    """HyenaDNA's way: an interval of the FASTA for each sample, then its tokenizer."""
    rows = []
    for _ in range(SEQUENCES):
        chromosome = fasta[f"chr{rng.integers(CHROMOSOMES) + 1}"]
        start = int(rng.integers(BASES - TOKENS))
        letters = str(chromosome[start : start + TOKENS]).upper()
        rows.append(
            torch.LongTensor(
                tokenizer(
                    letters,
                    padding="max_length",
                    max_length=TOKENS,
                    truncation=True,
                    add_special_tokens=False,
                )["input_ids"]
            )
        )
    return torch.stack(rows)


# --- Both side by side ----------------------------------------------------------------


def made_genome(folder: Path) -> tuple[Path, Path]:
    """A FASTA of random letters and the manifest of its shards."""
    fasta = folder / "made.fa"
    rng = np.random.default_rng(0)
    with fasta.open("wb") as file:
        for number in range(CHROMOSOMES):
            letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, BASES)]
            lines = letters.reshape(-1, 50)
            file.write(f">chr{number + 1}\n".encode())
            ends = np.full((len(lines), 1), ord("\n"), np.uint8)
            file.write(np.concatenate([lines, ends], axis=1).tobytes())
    shards.tokenize(fasta, folder / "shards", "made", None)
    return fasta, folder / "shards" / "manifest.json"


def ways(folder: Path) -> list[tuple[str, str, Callable[[int], object]]]:
    """Work, whose way, and a function of the step; ours comes first in each work."""
    fasta, manifest = made_genome(folder)
    bases = kmers.window_bases(TOKENS, "overlapping", 6)
    corpus = Corpus([str(manifest)], bases, [])
    codes = corpus.windows(1, 0, 0, SEQUENCES)
    ids = kmers.batch_ids(codes, "overlapping", 6)
    their_ids = torch.from_numpy(ids.astype(np.int64))
    lists = ids.tolist()
    intervals, tokenizer = Fasta(str(fasta)), CharacterTokenizer()
    rng = np.random.default_rng(0)

    def windows(step: int) -> np.ndarray:
        return corpus.windows(1, step, 0, SEQUENCES)

    def batch(step: int) -> np.ndarray:
        return kmers.batch_ids(windows(step), "overlapping", 6)

    single = {"min_span": 1, "center_probability": 0.15}
    return [
        ("windows", "ours", windows),
        ("ids", "ours", lambda step: kmers.batch_ids(codes, "overlapping", 6)),
        ("windows, ids", "ours", batch),
        (
            "windows, ids",
            "HyenaDNA: FASTA interval, letters (one token a base)",
            lambda step: hyenadna_windows(intervals, tokenizer, rng),
        ),
        ("windows, ids", "DNABERT: ready lists, padded", lambda step: padded(lists)),
        ("masks, labels, m = 6", "ours", lambda step: masking.corrupt(ids, 6, 1, step)),
        (
            "masks, labels, m = 6",
            "DNABERT: mask_tokens",
            lambda step: dnabert_masks(their_ids),
        ),
        (
            "masks, labels, m = 6 to 14",
            "ours",
            lambda step: masking.corrupt(ids, 14, 1, step),
        ),
        (
            "masks, labels, m = 6 to 14",
            "Python loop",
            lambda step: loop_masks(their_ids),
        ),
        (
            "masks, positions and targets, m = 6 to 14",
            "ours",
            lambda step: masking.corrupt_at(ids, 14, 1, step),
        ),
        (
            "masks, positions and targets, m = 1, p = 15 %",
            "ours",
            lambda step: masking.corrupt_at(ids, 1, 1, step, **single),
        ),
        ("all, m = 6", "ours", lambda step: masking.corrupt(batch(step), 6, 1, step)),
        ("all, m = 6", "DNABERT", lambda step: dnabert_masks(padded(lists))),
        (
            "all, m = 6 to 14",
            "ours",
            lambda step: masking.corrupt(batch(step), 14, 1, step),
        ),
        (
            "all, m = 6 to 14",
            "ours, positions instead of labels",
            lambda step: masking.corrupt_at(batch(step), 14, 1, step),
        ),
        (
            "all, m = 6 to 14",
            "DNABERT's lists, Python loop",
            lambda step: loop_masks(padded(lists)),
        ),
    ]


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = ways(Path(folder))
        seconds: list[list[float]] = [[] for _ in rows]
        for step in range(REPEATS):
            for taken, (_, _, work) in zip(seconds, rows, strict=True):
                work(2 * step)  # the way before has left its own data in the caches
                start = process_time()
                work(2 * step + 1)
                taken.append(process_time() - start)
    rates = [SEQUENCES / median(taken) for taken in seconds]
    print("| work | way | sequences/s | ours is faster |")
    print("|---|---|--:|--:|")
    ours: dict[str, float] = {}
    for (work, way, _), rate in zip(rows, rates, strict=True):
        first = ours.setdefault(work, rate)
        ratio = "" if way.startswith("ours") else f"{first / rate:,.1f} x"
        print(f"| {work} | {way} | {rate:,.0f} | {ratio} |")


if __name__ == "__main__":
    main()
