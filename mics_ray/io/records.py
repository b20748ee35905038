"""One record of the reference's format -> a case, or a rejection that says what is wrong with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mics_ray.core.display import make_storable
from mics_ray.core.types import Case, Note

T = TypeVar("T")

ID_FIELDS = ("rid", "id", "case_id")
PICTURE_FIELDS = ("images",)
NOTE_FIELDS = (("Complaint", "presentation"), ("Age", "age_label"), ("Gender", "gender_label"), ("Findings", "caption"))
FIELDS = (*ID_FIELDS, "messages", *PICTURE_FIELDS, *(name for _, name in NOTE_FIELDS))

# Ids given to records without a usable one: a record that brings such an id could take another's row.
_RESERVED = re.compile(r"line-[0-9]+")
_RESERVED_OF_SEVERAL = re.compile(r"line-[0-9]+(-[0-9]+)?")
_SCHEME_OR_DRIVE = re.compile(r"[a-z][a-z0-9+.-]*://|[a-z]:", re.I)
_LABEL = re.compile(r"\s*\*\*(?:Question|Correct Answer):\*\*", re.I)
_REFERRAL = re.compile(r"According to the\s*(?:<image>\s*)+,?", re.I)
_MARKUP = re.compile(r"<image>|<br\s*/?>", re.I)


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """Where a record stands: file name, ``line`` or ``record``, its number from 1; the file's number among several."""

    file: str
    unit: str
    position: int
    file_number: int = 0

    @property
    def own_id(self) -> str:
        """The id of a record without a usable one; reserved, so that no other record can have it."""
        return f"line-{self.file_number}-{self.position}" if self.file_number else f"line-{self.position}"

    def is_reserved(self, case_id: str) -> bool:
        """Whether ``case_id`` has the form of :attr:`own_id` and is that of another place."""
        form = _RESERVED_OF_SEVERAL if self.file_number else _RESERVED
        return form.fullmatch(case_id) is not None and case_id != self.own_id

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.position}"


@dataclass(frozen=True, slots=True)
class Rejection:
    """An input record that cannot be searched. ``reason`` names file, line and fault and holds no medical text."""

    position: int
    id: str
    reason: str
    question: str = field(default="", repr=False)
    answer: str = field(default="", repr=False)
    images: tuple[str, ...] = ()


class _Unusable(ValueError):
    """What is wrong with one field, without its text."""


def parse_record(record: object, place: RecordPlace) -> Case | Rejection:
    """Read one record; every record is exactly one of the two, and no record raises."""
    if not isinstance(record, dict):
        return Rejection(place.position, place.own_id, f"{place}: the record is not an object")
    faults: list[str] = []

    def take(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except _Unusable as fault:
            faults.append(str(fault))
            return None

    case_id = take(lambda: _read_id(record, place)) or place.own_id
    question = take(lambda: _read_message(record, "user")) or ""
    answer = take(lambda: _read_message(record, "assistant")) or ""
    paths = take(lambda: _read_images(record)) or ()
    # Apart from reading them, so that a rejected record still shows which paths it holds.
    take(lambda: _check_inside(paths))
    notes = take(lambda: _read_notes(record)) or ()
    images = tuple(map(make_storable, paths))
    if not faults:
        return Case(case_id, question, answer, images, notes)
    return Rejection(place.position, case_id, f"{place}: {'; '.join(faults)}", question, answer, images)


def reject_duplicate(found: Case | Rejection, place: RecordPlace) -> Rejection:
    """The same record as one whose id an earlier record has already."""
    reason = f"{place}: the id {_quote_text(found.id)} is that of an earlier record"
    return Rejection(place.position, place.own_id, reason, found.question, found.answer, found.images)


def _read_id(record: dict[str, Any], place: RecordPlace) -> str:
    """The first id field that is there and not null."""
    value = next((record[name] for name in ID_FIELDS if record.get(name) is not None), None)
    if value is None:
        raise _Unusable("no id")
    # bool is a subclass of int: true would become the id "True".
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Unusable("the id is neither text nor a whole number")
    text = make_storable(str(value))
    if not text.strip():
        raise _Unusable("the id is empty")
    if place.is_reserved(text):
        raise _Unusable(f"the id {_quote_text(text)} is reserved for the record at that place")
    return text


def _read_message(record: dict[str, Any], role: str) -> str:
    """The content of the first message of ``role``, without its label."""
    what = "question" if role == "user" else "answer"
    messages = record.get("messages")
    if not isinstance(messages, list):
        raise _Unusable(f"no {what}: messages is not a list")
    content = next((m.get("content") for m in messages if isinstance(m, dict) and m.get("role") == role), None)
    if not isinstance(content, str):
        raise _Unusable(f"no {what}: no message of the {role} with text")
    if text := make_storable(_LABEL.sub("", content, count=1) if _LABEL.match(content) else content).strip():
        return text
    raise _Unusable(f"the {what} is empty")


def _read_images(record: dict[str, Any]) -> tuple[str, ...]:
    """The picture paths as they stand."""
    images = record.get("images")
    if images is None:
        return ()
    paths = [images] if isinstance(images, str) else images
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise _Unusable("images is not a list of paths")
    return tuple(paths)


def _check_inside(paths: tuple[str, ...]) -> None:
    """Refuse paths that can be seen to lead out of the image folder; links are followed where files are opened."""
    for path in paths:
        if not path.strip():
            raise _Unusable("an image path is empty")
        if _climbs_out(path) or path[0] in "/\\" or "\0" in path or _SCHEME_OR_DRIVE.match(path):
            raise _Unusable(f"path leaves the image folder: {_quote_text(path)}")


def _climbs_out(path: str) -> bool:
    """Whether ``..`` leads above the start at any point of the path, also on a machine of the other slash."""
    depth = 0
    for part in re.split(r"[/\\]", path):
        # Both slashes count: a backslash is an ordinary letter on Linux, but not on every machine with the pictures.
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _read_notes(record: dict[str, Any]) -> tuple[Note, ...]:
    """The case notes in reading order; missing and empty ones are left out."""
    notes = []
    for label, name in NOTE_FIELDS:
        value = record.get(name)
        for item in value if isinstance(value, list) else [value]:
            if text := _clean_note(item, name):
                notes.append(Note(label, text))
    return tuple(notes)


def _clean_note(value: object, name: str) -> str:
    """One note's text without picture placeholders and markup, on one line. NaN is a missing number of a table."""
    # Only NaN differs from itself.
    if value is None or value != value:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Unusable(f"{name} is not text")
    text = make_storable(str(value))
    if "<" in text:
        text = _MARKUP.sub(" ", _REFERRAL.sub(" ", text))
    return " ".join(text.split())


def _quote_text(text: str) -> str:
    """An id or path as messages show it: escaped and cut."""
    return ascii(text if len(text) <= 200 else text[:200] + "…")
