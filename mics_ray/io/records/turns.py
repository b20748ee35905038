"""Question and answer of a record, whichever form holds them: messages, ShareGPT's conversations, flat keys."""

import re
from collections.abc import Mapping
from typing import Any

from mics_ray.core.display import make_storable
from mics_ray.core.placeholders import holds_placeholder, without_placeholders
from mics_ray.io.records.keys import UnusableRecord, find_values, fold_key

_ROLES = {"user": "question", "human": "question", "assistant": "answer", "gpt": "answer", "model": "answer"}
_SILENT = ("system", "developer")
"""Roles whose messages say how to answer: the program's own prompts do."""
_LABELS = {
    "question": re.compile(r"\s*(?:\*\*\s*Question\s*(?::\s*\*\*|\*\*\s*:)|Question\s*:)", re.I),
    "answer": re.compile(
        r"\s*(?:\*\*\s*(?:Correct\s+)?Answer\s*(?::\s*\*\*|\*\*\s*:)|(?:Correct\s+)?Answer\s*:)", re.I
    ),
}
_PICTURE_PARTS = ("image", "image_url", "input_image")
_TEXT_PARTS = ("text", "input_text", "output_text")


def read_question(record: Mapping[str, Any], pictures: int) -> str:
    """The question without label and without marks of pictures. Raises :class:`UnusableRecord`."""
    texts = [_clean_question(text, pictures) for text in _read_texts(record, "question")]
    return _take_one(texts, "question")


def read_answers(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Every gold answer, the one of the conversation first, each once. Raises :class:`UnusableRecord`."""
    told = [without_label(text, "answer") for text in _read_texts(record, "answer")]
    single = [_take_one(told, "answer")] if told else []
    listed = [
        without_label(one, "answer")
        for key, value in find_values(record, "answers", "answer")
        if isinstance(value, list) or fold_key(key) == "answers"
        for one in _list_golds(value, key)
    ]
    found = dict[str, str]()
    for text in (*single, *listed):
        found.setdefault(_fold(text), text)
    if not found:
        raise UnusableRecord(_describe_lack(record, "answer"))
    if "" in found:
        raise UnusableRecord("the answer is empty" if len(found) == 1 else "one of the answers is empty")
    return tuple(found.values())


def read_picture_parts(record: Mapping[str, Any]) -> list[str]:
    """The paths of pictures that stand as parts in the question, if it can be read at all.

    Raises :class:`UnusableRecord` for a picture that is no path.
    """
    try:
        contents = _list_contents(record, "question")
    except UnusableRecord:
        return []
    parts = [part for content in contents if isinstance(content, list) for part in content]
    found = [_find_path(part) for part in parts if isinstance(part, dict) and part.get("type") in _PICTURE_PARTS]
    return [path for path in found if path]


def without_label(text: str, what: str) -> str:
    """A question or answer without ``**Question:**`` or ``Answer:`` before it, storable."""
    label = _LABELS[what].match(text)
    return make_storable(text[label.end() :] if label else text).strip()


def _clean_question(text: str, pictures: int) -> str:
    if not holds_placeholder(text):
        return without_label(text, "question")
    if not pictures:
        raise UnusableRecord("the question has a place for a picture, and the record has no picture")
    # A label may stand before the marks or behind them.
    return without_label(without_placeholders(without_label(text, "question"), pictures), "question")


def _read_texts(record: Mapping[str, Any], what: str) -> list[str]:
    """The text of each place that holds a question (or one answer)."""
    texts = [_join_parts(content, what) for content in _list_contents(record, what)]
    flat = [value for key, value in find_values(record, what) if not isinstance(value, list) or what == "question"]
    if not texts and not flat and what == "question":
        raise UnusableRecord(_describe_lack(record, what))
    return [*texts, *(_write_text(value, what) for value in flat)]


def _describe_lack(record: Mapping[str, Any], what: str) -> str:
    if not isinstance(record.get("messages", []), list):
        return f"no {what}: messages is not a list"
    return f"no {what}: no message of the {'user' if what == 'question' else 'assistant'} with text, and no key {what}"


def _list_contents(record: Mapping[str, Any], what: str) -> list[Any]:
    """What the one turn of each conversation says: a text, or a list of parts."""
    found = []
    for key, turns in find_values(record, "messages", "conversations", "conversation"):
        if not isinstance(turns, list):
            raise UnusableRecord(f"no {what}: {key} is not a list")
        said = [content for role, content in map(_read_turn, turns) if role == what]
        if len(said) > 1:
            raise UnusableRecord(f"more than one {what} in {key}: a conversation of several turns")
        found += said
    return found


def _read_turn(turn: object) -> tuple[str, Any]:
    if not isinstance(turn, dict):
        raise UnusableRecord("no question: a message is not an object")
    role = turn.get("role", turn.get("from"))
    if not isinstance(role, str) or role.lower() not in (*_ROLES, *_SILENT):
        raise UnusableRecord("a message is neither the user's nor the assistant's")
    content = turn.get("content")
    return _ROLES.get(role.lower(), ""), turn.get("value") if content is None else content


def _join_parts(content: Any, what: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        role = "user" if what == "question" else "assistant"
        raise UnusableRecord(f"no {what}: no message of the {role} with text")
    texts = [_read_part(part, what) for part in content]
    return "\n".join(text for text in texts if text)


def _read_part(part: object, what: str) -> str:
    """The text of a part; that of a picture is "", for pictures come before the text."""
    if isinstance(part, str):
        return part
    kind, text = (part.get("type"), part.get("text")) if isinstance(part, dict) else (None, None)
    if kind in _TEXT_PARTS and isinstance(text, str):
        return text
    if kind in _PICTURE_PARTS and what == "question":
        return ""
    raise UnusableRecord(f"a part of the {what} is neither text nor a picture")


def _find_path(part: Mapping[str, Any]) -> str:
    """The path that a part names; "" for a bare mark."""
    value = next((part[name] for name in ("image", "image_url", "path", "url") if part.get(name) is not None), "")
    if isinstance(value, dict):
        value = next((value[name] for name in ("path", "url") if value.get(name) is not None), None)
    if not isinstance(value, str):
        raise UnusableRecord("a picture of the question is not a path")
    if value[:5].lower() == "data:":
        raise UnusableRecord("a picture of the question stands in the record as data:, not as a file's path")
    return value


def _list_golds(value: object, key: str) -> list[str]:
    if isinstance(value, list) and not value:
        raise UnusableRecord(f"{key} is an empty list")
    return [_write_text(one, "answer") for one in (value if isinstance(value, list) else [value])]


def _write_text(value: object, what: str) -> str:
    """A text or a number as it is written. NaN is a missing cell of a table."""
    # bool is an int to Python; as the text of an answer it is a damaged record. Only NaN differs from itself.
    number = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if isinstance(value, str) or (number and what == "answer"):
        return str(value)
    raise UnusableRecord(f"no {what}: {what} is not text")


def _take_one(texts: list[str], what: str) -> str:
    if len({_fold(text) for text in texts}) > 1:
        raise UnusableRecord(f"two {what}s that differ, under several keys")
    if not texts[0]:
        raise UnusableRecord(f"the {what} is empty")
    return texts[0]


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
