"""Which keys of a record are read, and as what: the documented ones, and those that people write for them."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

ID_FIELDS = ("rid", "id", "case_id")
NOTE_FIELDS = (("Complaint", "presentation"), ("Age", "age_label"), ("Gender", "gender_label"), ("Findings", "caption"))

_EXACT = frozenset((*ID_FIELDS, *(name for _, name in NOTE_FIELDS)))
_OTHERS = frozenset(
    ("messages", "conversations", "conversation", "question", "answer", "answers", "options", "choices")
)
_PICTURES = re.compile(r"(?:images?|imgs?|pictures?|pics?)(?:(?:file)?(?:path|name)s?|files?)?")
_NUMBERED = re.compile(r"(?:image|img|picture|pic)(?:path|file)?\d{1,2}")


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


def is_read_key(key: str) -> bool:
    """Whether the key of a record is read at all."""
    return key in _EXACT or fold_key(key) in _OTHERS or is_picture_key(key)


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


def quote_text(text: str) -> str:
    """A key, id or path as messages show it: escaped and cut."""
    return ascii(text if len(text) <= 200 else text[:200] + "…")
