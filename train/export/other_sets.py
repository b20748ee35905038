"""Data sets of others in a stage: every line is checked, and what is written is what passed the check."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun
from train.export.internvl import BadRecord, Checker, made_safe

_SHOWN = 20  # problems of a file that a refusal lists


def read_set(path: Path, checker: Checker) -> Iterator[dict[str, Any]]:
    """The records of an annotation file, safe for the trainer.

    After the last one, raises :class:`RefusedRun` with file, line and id of those that the trainer would not read as
    themselves.
    """
    problems = []
    for number, line in _lines(path):
        record: dict[str, Any] = {}
        try:
            record = _parse(line)
            checker.check(record)
            yield record
        except BadRecord as bad:
            problems.append(f"line {number}, record {record.get('id', '(no id)')}: {bad}")
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        raise RefusedRun(
            f"{path}: {len(problems)} records that InternVL's trainer would silently replace or damage; mend or remove "
            f"them:{listed}"
        )


def sample_lines(count: int, share: float, *seed: object) -> set[int]:
    """Which of ``count`` lines are in a share of them, drawn from the seed: at least one."""
    draw = random.Random(" ".join(map(str, seed)))
    return set(draw.sample(range(count), min(count, max(1, int(count * share)))))


def count_lines(path: Path) -> int:
    """Lines of a file. Raises :class:`RefusedRun`."""
    return sum(1 for _ in _lines(path))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, 1)
    except OSError as error:
        raise RefusedRun(f"cannot read the data set {path}: {error.strerror}") from None


def _parse(line: bytes) -> dict[str, Any]:
    if not line.strip():
        raise BadRecord("a blank line")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRecord("not JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise BadRecord("not a JSON object")
    return made_safe(found)
