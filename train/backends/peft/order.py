"""The order of samples: shuffled passes, in batches of samples of like length; a function of seed and step alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW = 64
"""Most batches among which samples are sorted by length: enough to save padding, too few to make an order of it."""
WINDOWS_A_PASS = 4
"""At least so many windows; over a whole pass and more, a batch would hold one sample several times."""


def step_count(samples: int, batch: int, epochs: float, most: int | None) -> int:
    """Optimizer steps of a training; the last batch is filled up from the next pass."""
    steps = max(1, math.ceil(epochs * samples / batch))
    return steps if most is None else min(steps, most)


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """Which samples each of ``steps`` batches holds. ``sizes``: pictures and bytes, shape (samples, 2)."""

    sizes: NDArray[np.int64]
    batch: int
    steps: int
    seed: int

    @property
    def window(self) -> int:
        """Batches among which samples are sorted."""
        return min(WINDOW, max(1, len(self.sizes) // (WINDOWS_A_PASS * self.batch)))

    def iter_batches(self, first: int) -> Iterator[NDArray[np.int64]]:
        """The batches from number ``first`` on, each of shape (batch,), sorted by length."""
        for step in range(first - first % self.window, self.steps, self.window):
            yield from self._make_window(step)[max(0, first - step) :]

    def iter_micro_batches(self, first: int, rank: int, workers: int, size: int) -> Iterator[list[int]]:
        """What one worker reads from batch ``first`` on: ``batch / (workers * size)`` lists of ``size`` a batch."""
        for batch in self.iter_batches(first):
            for part in batch.reshape(-1, workers * size):
                # A batch is sorted by length, so taking turns gives the workers about the same load.
                yield part[rank::workers].tolist()

    def _make_window(self, step: int) -> NDArray[np.int64]:
        """Batches ``step`` to ``step + window``, shape (batches, batch)."""
        drawn = self._draw_samples(step * self.batch, min(step + self.window, self.steps) * self.batch)
        pictures, size = self.sizes[drawn].T
        batches = drawn[np.lexsort((size, pictures))].reshape(-1, self.batch)
        # The 1, where passes have 0, keeps the two streams of random numbers apart.
        return np.random.default_rng([self.seed, 1, step]).permutation(batches)

    def _draw_samples(self, start: int, stop: int) -> NDArray[np.int64]:
        """Places ``start`` to ``stop`` of the endless row of shuffled passes."""
        count = len(self.sizes)
        first, last = start // count, math.ceil(stop / count)
        passes = [np.random.default_rng([self.seed, 0, number]).permutation(count) for number in range(first, last)]
        return np.concatenate(passes)[start - first * count : stop - first * count]
