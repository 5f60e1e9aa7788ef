"""Training windows from the shards of one or more genomes.

Windows hold only A, C, G and T and start anywhere with equal chance, whatever genome or
chromosome that is in. Which windows a step sees is a function of (seed, step, sample
index): nothing is shuffled, nothing has to be remembered to go on after a stop.

Shapes: B windows, n bases.
"""

import errno
import mmap
import os
import resource
from pathlib import Path

import numpy as np

from randommask.data import manifest
from randommask.data.draws import philox
from randommask.errors import InputError

STREAM = 0  # see draws.philox
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
        # shard, first, count of each interval that holds a window
        training, validation = [], []
        known = set()
        for path in map(Path, manifests):
            for chromosome in manifest.load(path).chromosomes:
                known.add(chromosome.name)
                runs = chromosome.intervals
                counts = runs[:, 1] - runs[:, 0] - bases + 1
                holds = counts > 0
                if not holds.any():
                    continue
                position = np.full(holds.sum(), len(self.shards))
                table = np.stack([position, runs[holds, 0], counts[holds]], axis=1)
                held = chromosome.name in held_out
                (validation if held else training).append(table)
                self.shards.append(
                    _map(path.parent / chromosome.file, chromosome.length)
                )
        if missing := sorted(set(held_out) - known):
            raise InputError(f"held_out: no chromosome {missing[0]} in the corpus")
        chosen = {"training": training, "validation": validation}
        self._places = {}
        for purpose in ("training", "validation") if held_out else ("training",):
            if not chosen[purpose]:
                raise InputError(
                    f"{manifests[0]}: no run of {bases} ACGT bases for {purpose}"
                )
            table = np.concatenate(chosen[purpose])
            self._places[purpose] = (table, np.cumsum(table[:, 2]))
        self._places.setdefault("validation", self._places["training"])
        _suit_to_memory(self.shards)

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
        position = np.searchsorted(ends, start, side="right")
        start += table[position, 1] + table[position, 2] - ends[position]
        # slices of memoryviews cost a fraction of an array's
        pieces = [
            self.shards[shard][first : first + self.bases]
            for shard, first in zip(
                table[position, 0].tolist(), start.tolist(), strict=True
            )
        ]
        codes = np.frombuffer(bytearray().join(pieces), np.uint8)
        return codes.reshape(len(words), self.bases)


def _map(path: Path, length: int) -> memoryview:
    """A shard in virtual memory; `InputError` where it is none of that length."""
    try:
        shard = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        what = " ".join(str(error).split())
        raise InputError(f"{path}: no shard ({what})") from None
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        # a mapping keeps its file open
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == hard:
            raise InputError(
                f"{path}: a shard is an open file, and at most {hard} may be open; "
                "raise ulimit -n, or name fewer chromosomes in the config"
            ) from None
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return _map(path, length)
    if shard.dtype != np.uint8 or shard.shape != (length,):
        raise InputError(
            f"{path}: {shard.dtype} of shape {shard.shape}, "
            f"expected uint8 of shape {(length,)} (manifest.json)"
        )
    return memoryview(shard)


def _suit_to_memory(shards: list[memoryview]) -> None:
    """Read no more than asked where the shards do not stay in memory anyway.

    The kernel reads ahead, up to megabytes a window, which soon has all of a small
    corpus in memory and of a large one only what is never asked for.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if sum(map(len, shards)) > memory / 2:
        for shard in shards:
            shard.obj.base.madvise(mmap.MADV_RANDOM)
