"""Seeded draws: the same parts always give the same number, on every machine and Python."""

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

Part = str | int | float | tuple["Part", ...] | None
T = TypeVar("T")


def derive_seed(*parts: Part) -> int:
    """A 31-bit seed from any parts; model APIs and engines accept no wider one everywhere."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def draw(items: Sequence[T], *parts: Part) -> T:
    """One of ``items`` (at least one), drawn by ``parts``."""
    return items[derive_seed(*parts) % len(items)]
