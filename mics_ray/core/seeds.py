"""Seeds of every draw: the same parts always give the same number, on every machine and Python.

The recipe stands here alone: a search draws by it, and a replay finds the calls of a committed row by it.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

Part = str | int | float | tuple["Part", ...] | None
T = TypeVar("T")


def derive_seed(*parts: Part) -> int:
    """A 31-bit seed from any parts; model APIs and engines accept no wider one everywhere."""
    # JSON keeps ("ab", "c") apart from ("a", "bc") and "1" from 1; hash() differs from process to process.
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    # Four bytes shifted by one: signed 32-bit fields and int32 seeds of engines take every value.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def draw_one(items: Sequence[T], *parts: Part) -> T:
    """One of ``items`` (at least one), drawn by ``parts``."""
    return items[derive_seed(*parts) % len(items)]


def attempt_seed(seed: int, attempt: int) -> int:
    """The seed of one attempt's tree; ``seed`` is the case's, ``attempt`` counts from 1."""
    # The recorded replies of finished runs are keyed by seeds that counted attempts from 0.
    return derive_seed(seed, attempt - 1)


def mentor_seed(tree_seed: int, case_id: str, mentor: str, prefix: tuple[str, ...]) -> int:
    """The seed of the call that asks ``mentor`` to continue ``prefix``."""
    return derive_seed(tree_seed, case_id, "mentor", mentor, prefix)


def intern_seed(tree_seed: int, case_id: str, intern: str, temperature: float, prefix: tuple[str, ...]) -> int:
    """The seed of the call that asks ``intern`` to finish ``prefix`` at ``temperature``."""
    return derive_seed(tree_seed, case_id, "intern", intern, temperature, prefix)


def leak_seed(seed: int, case_id: str, step: str) -> int:
    """The seed of the call that asks the judge whether ``step`` gives the answer away; ``seed`` is the row's."""
    return derive_seed(seed, case_id, "leak", step)


def judge_seed(intern_draw: int) -> int:
    """The seed of the call that judges the answer of the intern's call with seed ``intern_draw``."""
    return derive_seed(intern_draw, "judge")
