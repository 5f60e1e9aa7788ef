"""Training windows from the shards of one or more genomes.

Windows hold only A, C, G and T and start anywhere with equal chance, whatever genome or
chromosome that is in. Which windows a step sees is a function of (seed, step, sample
index): nothing is shuffled, nothing has to be remembered to go on after a stop.

Shapes: B windows, n bases.
"""

from pathlib import Path

import numpy as np

from randommask.errors import InputError
from randommask.files import read_json
from randommask.masking import philox

STREAM = 0  # see masking.philox
VALIDATION_STEP = 2**63  # no training step reaches it: validation windows are apart


class Corpus:
    """The shards behind some manifests, memory-mapped, and where windows may start.

    `held_out` chromosomes are left out of training, and validation windows then come
    from them alone. With `reverse_complement`, half of the training windows are read
    from the other strand. Raises `InputError` where no stretch of ACGT holds a window.
    """

    def __init__(
        self,
        manifests: list[str],
        bases: int,
        held_out: list[str],
        reverse_complement: bool = False,
    ) -> None:
        self.bases = bases
        self.reverse_complement = reverse_complement
        self.shards: list[memoryview] = []
        places: list[tuple[int, int, int, bool]] = []  # shard, first, count, held out
        known = set()
        for path in map(Path, manifests):
            for chromosome in read_json(path)["chromosomes"]:
                known.add(chromosome["name"])
                shard = np.load(path.parent / chromosome["file"], mmap_mode="r")
                if len(shard) != chromosome["length"]:
                    raise InputError(
                        f"{path.parent / chromosome['file']}: {len(shard)} bases, "
                        f"expected {chromosome['length']} (manifest.json)"
                    )
                self.shards.append(memoryview(shard))
                places += [
                    (len(self.shards) - 1, start, end - start - bases + 1, held)
                    for held in [chromosome["name"] in held_out]
                    for start, end in chromosome["intervals"]
                    if end - start >= bases
                ]
        if missing := sorted(set(held_out) - known):
            raise InputError(f"held_out: no chromosome {missing[0]} in the corpus")
        training = [place[:3] for place in places if not place[3]]
        validation = [place[:3] for place in places if place[3]]
        if not held_out:
            validation = training
        self._places = {}
        for purpose, chosen in (("training", training), ("validation", validation)):
            if not chosen:
                raise InputError(
                    f"{manifests[0]}: no run of {bases} ACGT bases for {purpose}"
                )
            table = np.array(chosen, np.int64)
            self._places[purpose] = (table, np.cumsum(table[:, 2]))

    def windows(self, seed: int, step: int, first_index: int, count: int) -> np.ndarray:
        """Codes of samples `first_index` ... of step `step`: (count, n) uint8."""
        words = philox(seed, step, STREAM, first_index, count).reshape(count, 4)
        codes = self._read("training", words[:, 0])
        if self.reverse_complement:
            other = np.flatnonzero(words[:, 1] >> np.uint64(63))
            # A and T, C and G differ in the lowest bit
            codes[other] = codes[other, ::-1] ^ 1
        return codes

    def validation_windows(self, seed: int, count: int) -> np.ndarray:
        """The fixed windows that validation is measured on: (count, n) uint8."""
        words = philox(seed, VALIDATION_STEP, STREAM, 0, count).reshape(count, 4)
        return self._read("validation", words[:, 0])

    def _read(self, purpose: str, words: np.ndarray) -> np.ndarray:
        """The windows that random `words` (B,) uint64 choose: (B, n) uint8."""
        table, ends = self._places[purpose]
        start = ((words >> np.uint64(11)) * 2.0**-53 * ends[-1]).astype(np.int64)
        place = np.searchsorted(ends, start, side="right")
        start += table[place, 1] + table[place, 2] - ends[place]
        # slices of memoryviews cost a fraction of an array's
        pieces = [
            self.shards[shard][first : first + self.bases]
            for shard, first in zip(
                table[place, 0].tolist(), start.tolist(), strict=True
            )
        ]
        codes = np.frombuffer(bytearray().join(pieces), np.uint8)
        return codes.reshape(len(words), self.bases)
