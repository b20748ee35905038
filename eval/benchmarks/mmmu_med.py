"""MMMU (MMMU/MMMU), the five Health & Medicine subjects: up to seven pictures each. Validation: 150 items."""

import ast
import json
from collections.abc import Iterator
from typing import Any

from eval.benchmarks.base import Source
from eval.benchmarks.questions import picture_option
from eval.benchmarks.record import BenchmarkRecord
from eval.types import Item, Kind
from mics_ray.core.placeholders import without_placeholders
from mics_ray.errors import RefusedRun

_PICTURES = [f"image_{number}" for number in range(1, 8)]
_LETTERS = "ABCDEFGHIJ"
KEPT_BACK = "?"
"""An answer of the test set, which the hub does not tell."""


def read_mmmu_med(source: Source) -> Iterator[Item]:
    """All configurations (subjects) in order; ``topic`` is the subject. Open answers go to the judge."""
    told = _read_answers(source)
    for subject in source.config.config:
        for record in source.read_table(source.config.split, subject):
            yield _mmmu_item(source, record, subject, told)


def _read_answers(source: Source) -> dict[str, Any]:
    """The answers of a file beside the set, by the items' ids."""
    path = source.find_file(["answer.json"])
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise RefusedRun(f"{source.name}: {path} is no JSON object of answers by id")
    return {name: one.get("ground_truth") if isinstance(one, dict) else one for name, one in found.items()}


def _mmmu_item(source: Source, record: BenchmarkRecord, subject: str, told: dict[str, Any]) -> Item:
    images = tuple(
        source.store_embedded_picture(record, name) for name in _PICTURES if record.values.get(name) is not None
    )
    options = tuple(picture_option(option) for option in _parse_list(record, "options"))
    choice = record.required_text("question_type") == "multiple-choice"
    answer, *others = _find_answers(record, told)
    # One letter exactly: `AB` is found among the letters too, as a substring.
    if choice and (len(answer) != 1 or answer not in _LETTERS[: len(options)]):
        raise record.make_refusal("'answer' is no letter of its options")
    return Item(
        id=record.required_text("id"),
        kind=Kind.CHOICE if choice else Kind.OPEN,
        question=without_placeholders(record.required_text("question"), len(images)),
        answer=answer,
        options=options if choice else (),
        images=images,
        cluster=images[0] if images else record.required_text("id"),
        modality=", ".join(_parse_list(record, "img_type")),
        topic=subject,
        others=() if choice else tuple(others),
    )


def _find_answers(record: BenchmarkRecord, told: dict[str, Any]) -> list[str]:
    """Every accepted answer: the record's, or the file's for one that the record keeps back."""
    answer = record.optional_text("answer", KEPT_BACK)
    if answer != KEPT_BACK:
        return _accepted_answers(answer)
    value = told.get(record.required_text("id"))
    found = value if isinstance(value, list) else [] if value is None else _accepted_answers(str(value).strip())
    if not all(isinstance(one, str | int | float) for one in found) or not found:
        raise record.make_refusal("'answer' is kept back by the set; give it in answer.json beside it")
    return [str(one).strip() for one in found]


def _parse_list(record: BenchmarkRecord, name: str) -> list[str]:
    """A list that is stored as the text of a Python list."""
    try:
        found = ast.literal_eval(record.optional_text(name, "[]"))
    except (ValueError, SyntaxError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise record.make_refusal(f"{name!r} is no list")
    return [str(one) for one in found]


def _accepted_answers(answer: str) -> list[str]:
    """The wordings that an open question accepts: one, or the text of a list of them."""
    try:
        # Only what begins like a list is one: a number such as 3.5 is an answer, and stays as it is written.
        found = ast.literal_eval(answer) if answer.startswith("[") else answer
    except (ValueError, SyntaxError, RecursionError):
        found = answer
    return [str(one) for one in found] if isinstance(found, list) and found else [answer]
