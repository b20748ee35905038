"""Marks of reviewers as `mics review` leaves them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mics_ray.review.marks.chain import list_targets
from mics_ray.review.marks.store import open_store

LETTERS = {"r": "right", "w": "wrong", "u": "unsure", "a": "accept", "x": "reject", ".": None}


def review(run: Path, reviewer: str, rows: Sequence[Mapping[str, Any]], said: Mapping[str, str]) -> None:
    """Mark chains: by case id a letter for each step and one for the chain, such as ``rrwx``; ``.`` is no mark."""
    by_id = {row["case_id"]: row for row in rows}
    with open_store(run, reviewer) as store:
        for case_id, letters in said.items():
            for target, letter in zip(list_targets(by_id[case_id]), letters, strict=True):
                if letter != ".":
                    store.set_mark(target, LETTERS[letter], "", store.book.find_version(target))
