"""Nearly valid inputs: seeds with a few bytes flipped, cut, repeated, spliced, or with odd tokens put in."""

import random
from collections.abc import Callable, Sequence


def mutated(rng: random.Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """One of ``seeds`` after up to four mutations; one in sixteen is left as it is."""
    data = rng.choice(seeds)
    if rng.random() < 1 / 16:
        return data
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(_WAYS)(rng, data, seeds, tokens)
    return data


def _span(rng: random.Random, data: bytes, most: int = 32) -> slice:
    at = rng.randrange(len(data) + 1)
    return slice(at, at + rng.randint(1, most))


def _flip(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _overwrite(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    found = _span(rng, data, 4)
    return data[: found.start] + rng.randbytes(len(data[found])) + data[found.stop :]


def _cut(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    found = _span(rng, data)
    return data[: found.start] + data[found.stop :]


def _repeat(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    found = _span(rng, data)
    return data[: found.start] + data[found] * rng.randint(1, 4) + data[found.start :]


def _put(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(tokens) + data[at:]


def _splice(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _truncate(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


_WAYS: tuple[Callable[[random.Random, bytes, Sequence[bytes], Sequence[bytes]], bytes], ...] = (
    _flip, _overwrite, _cut, _repeat, _put, _put, _splice, _truncate,
)  # fmt: skip
