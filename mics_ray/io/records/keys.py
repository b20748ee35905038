"""Which keys of a record are read, and as what: the documented ones, and those that people write for them."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

ID_FIELDS = ("rid", "id", "case_id")
NOTE_FIELDS = (("Complaint", "presentation"), ("Age", "age_label"), ("Gender", "gender_label"), ("Findings", "caption"))

_NAMES = (
    *ID_FIELDS, *(name for _, name in NOTE_FIELDS),
    "messages", "conversations", "conversation", "question", "answer", "answers", "options", "choices",
)  # fmt: skip
_PICTURES = re.compile(r"(?:images?|imgs?|pictures?|pics?)(?:(?:file)?(?:path|name)s?|files?)?")
_NUMBERED = re.compile(r"(?:image|img|picture|pic)(?:path|file)?\d{1,2}")
_OPTION = re.compile(r"(?:option|choice|opt|op)([a-j]|[1-9]|10)|([A-J])")
_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".avif", ".heic", ".dcm", ".dicom", ".nii",
    ".nii.gz",
)  # fmt: skip
_LONGEST_PATH = 1024


class UnusableRecord(ValueError):
    """What is wrong with one field, without its text."""


# Records of one input have the same few keys.
@lru_cache(1024)
def fold_key(key: str) -> str:
    """A key as keys are compared: ``Image_Path`` and ``imagepath`` are one."""
    return re.sub(r"[\s_-]", "", key).lower()


@lru_cache(1024)
def is_picture_key(key: str) -> bool:
    """Whether a key names a record's pictures, or one of its numbered ones."""
    folded = fold_key(key)
    return bool(_PICTURES.fullmatch(folded) or _NUMBERED.fullmatch(folded))


_FOLDED = frozenset(map(fold_key, _NAMES))


def is_read_key(key: str) -> bool:
    """Whether the key of a record is read at all."""
    return fold_key(key) in _FOLDED or is_picture_key(key) or find_option_mark(key) != ""


@lru_cache(1024)
def find_option_mark(key: str) -> str:
    """The letter or number of the option that a key names alone: ``B`` for ``option_b``, ``opb`` and ``B``; else ""."""
    match = _OPTION.fullmatch(key if len(key) == 1 else fold_key(key))
    return (match[1] or match[2]).upper() if match else ""


def find_value(record: Mapping[str, Any], *names: str) -> Any:
    """The first value under ``names`` as they stand, else in another spelling; ``None`` where there is none.

    Raises :class:`UnusableRecord` for other spellings whose values differ.
    """
    exact = next((record[name] for name in names if record.get(name) is not None), None)
    if exact is not None:
        return exact
    spelt = find_values(record, *map(fold_key, names))
    if any(value != spelt[0][1] for _, value in spelt):
        raise UnusableRecord(f"{' and '.join(quote_text(key) for key, _ in spelt)} differ; keep one of them")
    return spelt[0][1] if spelt else None


def find_values(record: Mapping[str, Any], *names: str) -> list[tuple[str, Any]]:
    """Key and value of what a record has under ``names`` in any spelling; null is nothing."""
    return [(key, value) for key, value in record.items() if value is not None and fold_key(key) in names]


def find_pictures(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Key and value of a record's pictures. Raises :class:`UnusableRecord` for pictures under numbered keys."""
    found = [(key, value) for key, value in record.items() if value is not None and is_picture_key(key)]
    for key, _ in found:
        if _NUMBERED.fullmatch(fold_key(key)):
            raise UnusableRecord(f"{quote_text(key)} is one of several picture keys; put the pictures into one list")
    return found


def find_missed_picture(record: Mapping[str, Any]) -> str:
    """The first key that is not read and whose value looks like the path of a picture; "" for none."""
    return next((key for key, value in record.items() if not is_read_key(key) and names_picture(value)), "")


def names_picture(value: object) -> bool:
    """Whether a value looks like the path or address of a picture, or holds such ones, or a picture as text."""
    if isinstance(value, str):
        # Most texts of a record are long, or end otherwise.
        path = len(value) <= _LONGEST_PATH and value.lower().endswith(_SUFFIXES) and "\n" not in value
        return path or value.startswith("data:image/")
    if isinstance(value, Mapping):
        return any(isinstance(one, str) and names_picture(one) for one in value.values())
    return isinstance(value, list) and any(isinstance(one, str | Mapping) and names_picture(one) for one in value)


def quote_text(text: str) -> str:
    """A key, id or path as messages show it: escaped and cut."""
    return ascii(text if len(text) <= 200 else text[:200] + "…")
