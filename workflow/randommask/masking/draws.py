"""The random numbers of masking: functions of (seed, step, sample index).

So a batch does not depend on who computes it, nor on what was computed before.

For most tokens one random byte settles that nothing happens. So a number x on
[0, 2**40) is drawn in two parts: its high byte for every token, its low 32 bits only
where the byte leaves something open. With p = 0.025, a token is a centre if
x < limit = round(0.025 * 2**40) = 27,487,790,694, in units of 2**32 that is 6.4. So a
high byte of 7 or more says no, for 249 tokens of 256; 0 to 5 says yes; and 6 needs the
low bits to decide. The number of a centre gives the length too, since x / limit is
uniform again where x < limit: with spans of 6 to 14 tokens and a high byte of 5 before
low bits of 3,000,000,000 the length is 6 + 9 * x // limit = 6 + 8 = 14.

>>> limit, x = round(0.025 * 2**40), 5 * 2**32 + 3_000_000_000
>>> limit, x, 6 + 9 * x // limit
(27487790694, 24474836480, 14)

Shapes: B sequences, T tokens; flat positions are row * T + column.
"""

from dataclasses import dataclass

import numpy as np

from randommask.data.draws import philox

# Streams of the counter-based generator keep the draws apart that one step makes for
# one sequence. `data.windows` draws the sequence itself from stream 0.
CENTER_BYTES, CENTER_WORDS, ACTION_BYTES, ACTION_WORDS = 1, 2, 3, 4
ORDER_WORDS, COUNT_WORDS = 5, 6
# Words drawn at a time for a sequence. Of 512 tokens 14 have a high byte below 7 and
# need one, so that one block is enough for nearly every sequence.
WORDS = 32


@dataclass(frozen=True)
class Draws:
    """Random numbers for the sequences `first` to `first + batch - 1` of a step."""

    seed: int
    step: int
    first: int
    batch: int
    length: int  # tokens

    def high_bytes(self, stream: int) -> np.ndarray:
        """One byte for every token: (B * T,) uint8."""
        units = -(-self.length // 32)
        words = self._words(stream, units, 0).view(np.uint8)
        return words.reshape(self.batch, -1)[:, : self.length].reshape(-1)

    def complete(
        self, stream: int, high: np.ndarray, position: np.ndarray
    ) -> np.ndarray:
        """Numbers on [0, 2**40) whose high bytes at ascending positions (n,) are known.

        The j-th of these positions in a sequence gets the sequence's j-th word.
        """
        row = position // self.length
        counts = np.bincount(row, minlength=self.batch)
        blocks = [
            self._words(stream, WORDS // 8, block).view(np.uint32)
            for block in range(-(-int(counts.max(initial=0)) // WORDS))
        ]
        numbers = high.astype(np.uint64) << np.uint64(32)
        if blocks:
            words = np.stack([block.reshape(self.batch, WORDS) for block in blocks], 1)
            width = len(blocks) * WORDS
            # where the words of a row begin, less the rank of the row's first position
            begin = np.arange(self.batch) * width - (np.cumsum(counts) - counts)
            numbers |= words.reshape(-1)[np.repeat(begin, counts) + np.arange(len(row))]
        return numbers

    def order(self) -> np.ndarray:
        """16 bits for every token: (B, T) uint16."""
        words = self._words(ORDER_WORDS, -(-self.length // 16), 0).view(np.uint16)
        return words.reshape(self.batch, -1)[:, : self.length]

    def share(self) -> np.ndarray:
        """A number on [0, 1) for every sequence: (B,)."""
        words = self._words(COUNT_WORDS, 1, 0).reshape(self.batch, 4)[:, 0]
        return (words >> np.uint64(11)) * 2.0**-53

    def _words(self, stream: int, units: int, block: int) -> np.ndarray:
        first, count = self.first * units, self.batch * units
        return philox(self.seed, self.step, stream, first, count, block)
