"""The records of a stage for the backend `peft`: checked once, then read from disk one by one by their number."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mics_ray.errors import RefusedRun
from train.stages import DataSet

PLACEHOLDER = "<image>"
_ROLES = {"system": "system", "human": "user", "gpt": "assistant"}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation; ``role`` is `system`, `user` or `assistant`."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One conversation with its pictures. Every picture has one ``<image>`` in a user's turn, in reading order."""

    id: str
    pictures: tuple[Path, ...]
    turns: tuple[Turn, ...]


class Records:
    """The samples of a stage by number, repeats included. In memory are only the places of the lines.

    ``sizes``: for each sample its pictures and the bytes of its line, shape (samples, 2).
    Raises :class:`RefusedRun` at construction, naming the first record that cannot be used.
    """

    def __init__(self, entries: Sequence[DataSet]) -> None:
        self._entries = entries
        found = [_scan_lines(entry) for entry in entries]
        number = np.repeat(np.arange(len(entries)), [len(lines) for lines in found])
        lines = np.concatenate(found)
        repeats = np.array([entry.repeat for entry in entries])[number]
        self._lines = np.column_stack([number, lines])
        self._samples = np.repeat(np.arange(len(lines)), repeats)
        self.sizes: NDArray[np.int64] = lines[self._samples, 1:]

    def __len__(self) -> int:
        return len(self._samples)

    def line_number(self, sample: int) -> int:
        """The number of the sample's line; repeats of a record share it."""
        return int(self._samples[sample])

    def iter_lines(self) -> Iterator[TrainingRecord]:
        """Every record once, repeats left out."""
        return (self._read_line(line) for line in range(len(self._lines)))

    def __getitem__(self, sample: int) -> TrainingRecord:
        return self._read_line(self.line_number(sample))

    def _read_line(self, line: int) -> TrainingRecord:
        entry, offset, _, size = self._lines[line]
        data_set = self._entries[entry]
        with data_set.annotation.open("rb") as file:
            file.seek(offset)
            return parse_training_record(file.read(size), data_set.root, f"{data_set.annotation}, byte {offset}")


def _scan_lines(entry: DataSet) -> NDArray[np.int64]:
    """Offset, pictures and bytes of each line, shape (lines, 3)."""
    found, offset = [], 0
    with entry.annotation.open("rb") as file:
        for number, line in enumerate(file, 1):
            record = parse_training_record(line, entry.root, f"{entry.annotation}, line {number}")
            for picture in record.pictures:
                if not picture.is_file():
                    raise RefusedRun(f"record {record.id}: picture {picture} is not there; export again")
            found.append((offset, len(record.pictures), len(line)))
            offset += len(line)
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def parse_training_record(line: bytes, root: Path, place: str) -> TrainingRecord:
    """Read one InternVL record. Raises :class:`RefusedRun` naming the record (``place`` where it has no id)."""
    try:
        content = json.loads(line)
        name = str(content["id"])
    except (ValueError, KeyError, TypeError):
        raise RefusedRun(f"{place}: no JSON record with an id; export again") from None
    try:
        pictures = _picture_paths(content, root)
        turns = tuple(Turn(_ROLES[turn["from"]], str(turn["value"])) for turn in content["conversations"])
    except (KeyError, TypeError):
        raise RefusedRun(f"record {name} ({place}): `image` or `conversations` is not in InternVL's form") from None
    if problem := _find_problem(turns, len(pictures)):
        raise RefusedRun(f"record {name} ({place}): {problem}")
    return TrainingRecord(name, pictures, turns)


def _picture_paths(content: dict[str, Any], root: Path) -> tuple[Path, ...]:
    images = content.get("image", [])
    return tuple(root / path for path in ([images] if isinstance(images, str) else images))


def _find_problem(turns: Sequence[Turn], pictures: int) -> str | None:
    """What keeps a conversation from being learnt; ``None`` when nothing does."""
    talk = [turn.role for turn in turns if turn.role != "system"]
    if any(turn.role == "system" for turn in turns[1:]):
        return "only the first turn may be the system's"
    if not talk or talk != ["user", "assistant"] * (len(talk) // 2):
        return "turns must alternate, human first, gpt last"
    places = sum(turn.text.count(PLACEHOLDER) for turn in turns if turn.role == "user")
    if places != pictures:
        return f"{pictures} pictures, but {places} {PLACEHOLDER} in the human's turns"
    if any(PLACEHOLDER in turn.text for turn in turns if turn.role != "user"):
        return f"{PLACEHOLDER} outside the human's turns"
    return None
