"""One record -> a case, or a rejection that says what is wrong with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mics_ray.core.display import make_storable
from mics_ray.core.types import Case, Note
from mics_ray.io.records.choices import add_options
from mics_ray.io.records.keys import (
    ID_FIELDS,
    NOTE_FIELDS,
    UnusableRecord,
    find_missed_picture,
    find_pictures,
    find_value,
    quote_text,
)
from mics_ray.io.records.turns import read_answers, read_picture_parts, read_question

T = TypeVar("T")

# Ids given to records without a usable one: a record that brings such an id could take another's row.
_RESERVED = re.compile(r"line-[0-9]+")
_RESERVED_OF_SEVERAL = re.compile(r"line-[0-9]+(-[0-9]+)?")
_SCHEME_OR_DRIVE = re.compile(r"[a-z][a-z0-9+.-]*://|[a-z]:", re.I)
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
    others: tuple[str, ...] = field(default=(), repr=False)


def parse_record(record: object, place: RecordPlace) -> Case | Rejection:
    """Read one record; every record is exactly one of the two, and no record raises."""
    if not isinstance(record, dict):
        return Rejection(place.position, place.own_id, f"{place}: the record is not an object")
    faults: list[str] = []

    def take(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except UnusableRecord as fault:
            faults.append(str(fault))
            return None

    case_id = take(lambda: _read_id(record, place)) or place.own_id
    found = take(lambda: _read_images(record))
    paths = found or ()
    # Apart from reading them, so that a rejected record still shows which paths it holds.
    take(lambda: _check_inside(paths))
    question = take(lambda: read_question(record, 1 if found is None else len(found))) or ""
    golds = take(lambda: read_answers(record)) or ()
    if question and golds:
        question, golds = take(lambda: add_options(record, question, golds)) or (question, golds)
    notes = take(lambda: _read_notes(record)) or ()
    images = tuple(map(make_storable, paths))
    answer, others = (golds[0], golds[1:]) if golds else ("", ())
    if not faults:
        return Case(case_id, question, answer, images, notes, others=others)
    reason = f"{place}: {'; '.join(dict.fromkeys(faults))}"
    return Rejection(place.position, case_id, reason, question, answer, images, others)


def find_id(record: object, place: RecordPlace) -> str:
    """The id that :func:`parse_record` gives a record, for a small part of its cost."""
    try:
        return _read_id(record, place) if isinstance(record, dict) else place.own_id
    except UnusableRecord:
        return place.own_id


def has_pictures(record: object) -> bool:
    """Whether a record names pictures in a way that is read."""
    try:
        return isinstance(record, dict) and bool(_read_images(record))
    except UnusableRecord:
        return False


def reject_duplicate(found: Case | Rejection, place: RecordPlace) -> Rejection:
    """The same record as one whose id an earlier record has already."""
    reason = f"{place}: the id {quote_text(found.id)} is that of an earlier record"
    return Rejection(place.position, place.own_id, reason, found.question, found.answer, found.images, found.others)


def _read_id(record: dict[str, Any], place: RecordPlace) -> str:
    """The first id field that is there and not null."""
    value = find_value(record, *ID_FIELDS)
    if value is None:
        raise UnusableRecord("no id")
    # bool is a subclass of int: true would become the id "True".
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnusableRecord("the id is neither text nor a whole number")
    text = make_storable(str(value))
    if not text.strip():
        raise UnusableRecord("the id is empty")
    if place.is_reserved(text):
        raise UnusableRecord(f"the id {quote_text(text)} is reserved for the record at that place")
    return text


def _read_images(record: dict[str, Any]) -> tuple[str, ...]:
    """The picture paths as they stand, under whichever key, or as parts of the question."""
    found = [_list_paths(key, value) for key, value in find_pictures(record)]
    # A bare mark of a picture has no path.
    if parts := read_picture_parts(record):
        found.append(tuple(parts))
    if any(paths != found[0] for paths in found):
        raise UnusableRecord("two places name different pictures; keep one of them")
    if not found and (key := find_missed_picture(record)):
        raise UnusableRecord(f"no pictures, but {quote_text(key)} names one: call it images, or leave it out")
    return found[0] if found else ()


def _list_paths(key: str, value: object) -> tuple[str, ...]:
    paths = [one.get("path") if isinstance(one, dict) and not one.get("bytes") else one for one in _as_list(value)]
    if not all(isinstance(path, str) for path in paths):
        raise UnusableRecord(f"{key} is not a list of paths")
    return tuple(map(str, paths))


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _check_inside(paths: tuple[str, ...]) -> None:
    """Refuse paths that can be seen to lead out of the image folder; links are followed where files are opened."""
    for path in paths:
        if not path.strip():
            raise UnusableRecord("an image path is empty")
        if _climbs_out(path) or path[0] in "/\\" or "\0" in path or _SCHEME_OR_DRIVE.match(path):
            raise UnusableRecord(f"path leaves the image folder: {quote_text(path)}")


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
        value = find_value(record, name)
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
        raise UnusableRecord(f"{name} is not text")
    text = make_storable(str(value))
    if "<" in text:
        text = _MARKUP.sub(" ", _REFERRAL.sub(" ", text))
    return " ".join(text.split())
