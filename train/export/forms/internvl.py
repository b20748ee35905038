"""InternVL's records, and the one check that every record passes before its trainer reads it.

Upstream's data set puts a random other sample in the place of a record that it cannot use, and says so in a log at
most; other faults damage a sample without a word. A record that has any of them gets into no annotation file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.export.pictures import check_picture_file
from train.export.samples import Sample, Turns, make_turns
from train.export.tokens import PLACEHOLDER, Ruler, make_trainer_safe

_SURROGATE = re.compile("[\ud800-\udfff]")


class BadRecord(Exception):
    """A record that InternVL's trainer would not read as itself; the message holds no text of the record."""


def to_record(sample: Sample) -> dict[str, Any]:
    """A sample as InternVL's trainer reads it. ``length`` is what it groups records by."""
    talk = make_turns(sample.prompt, sample.completion, len(sample.images))
    return {
        "id": sample.id,
        # The trainer crashes on `image: null`, so a record of text alone has no key `image`.
        **({"image": list(sample.images)} if sample.images else {}),
        "conversations": [{"from": role, "value": value} for role, value in talk],
        "length": sample.tokens,
    }


def make_record_safe(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of another data set with the picture paths as a list, and with texts that are safe for trainers.

    Placeholders of pictures stay; what is wrong in its form is left for :meth:`RecordChecker.check_record`.
    """
    found = dict(record)
    if isinstance(found.get("conversations"), list):
        found["conversations"] = [_make_turn_safe(turn) for turn in found["conversations"]]
    if isinstance(found.get("image"), str):
        found["image"] = [found["image"]]
        _place_picture(found.get("conversations"))
    if found.get("image") == []:
        del found["image"]
    return found


def _place_picture(talk: object) -> None:
    """A picture given as one string may go without a placeholder, which the trainer then puts before the first turn."""
    talk = talk if isinstance(talk, list) else []
    humans = [turn for turn in talk if isinstance(turn, dict) and turn.get("from") == "human"]
    values = [turn.get("value") for turn in humans]
    if values and all(isinstance(value, str) and PLACEHOLDER not in value for value in values):
        humans[0]["value"] = f"{PLACEHOLDER}\n{values[0]}"


def _make_turn_safe(turn: object) -> object:
    if isinstance(turn, dict) and isinstance(turn.get("value"), str):
        # make_trainer_safe would neutralise the placeholders of pictures too, so they are left out of it.
        return turn | {"value": PLACEHOLDER.join(map(make_trainer_safe, turn["value"].split(PLACEHOLDER)))}
    return turn


@dataclass(slots=True)
class RecordChecker:
    """Checks the records of one annotation file whose picture paths are relative to ``root``."""

    root: Path
    ruler: Ruler
    _sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def check_record(self, record: object) -> int:
        """The tokens of a record that the trainer reads as itself. Raises :class:`BadRecord` for any other."""
        if not isinstance(record, dict):
            raise BadRecord("not a JSON object")
        if "video" in record:
            raise BadRecord("`video` is not supported; leave it out")
        images, talk = _record_images(record), _record_turns(record)
        _check_order(talk)
        _check_placeholders(talk, len(images))
        # In the trainer `</img>` loses the sample, `<IMG_CONTEXT>` zeroes its loss, and `!` counts as padding.
        if any(make_trainer_safe(part) != part for _, value in talk for part in value.split(PLACEHOLDER)):
            raise BadRecord("a control token or `!` in a text")
        tokens = self.ruler.count_tokens(talk, [self._picture_size(image) for image in images])
        most = self.ruler.config.max_seq_length
        # Longer text would be cut without a word; cut picture tokens make the trainer draw another sample.
        if tokens > most:
            raise BadRecord(f"{tokens} tokens, at most {most} (length.max_seq_length)")
        return tokens

    def _picture_size(self, image: str) -> tuple[int, int]:
        if image not in self._sizes:
            size, problem = check_picture_file(self.root / image)
            if size is None:
                raise BadRecord(str(problem))
            self._sizes[image] = size
        return self._sizes[image]


def _record_images(record: Mapping[str, Any]) -> Sequence[str]:
    """The picture paths; a text-only record has no key ``image``."""
    if "image" not in record:
        return ()
    images = record["image"]
    if not isinstance(images, list) or not images or not all(isinstance(image, str) and image for image in images):
        raise BadRecord("`image` is not a list of paths; leave it out of a record without pictures")
    return images


def _record_turns(record: Mapping[str, Any]) -> Turns:
    """The turns as (from, value)."""
    found = record.get("conversations")
    if not isinstance(found, list) or not found:
        raise BadRecord("`conversations` is not a list of turns")
    for number, turn in enumerate(found, 1):
        if not isinstance(turn, dict) or turn.get("from") not in ("system", "human", "gpt"):
            raise BadRecord(f"turn {number}: `from` is none of system, human, gpt")
        if not isinstance(turn.get("value"), str) or not turn["value"].strip():
            raise BadRecord(f"turn {number}: `value` is missing, empty or no text")
        if _SURROGATE.search(turn["value"]):
            raise BadRecord(f"turn {number}: half a surrogate pair, which no tokenizer takes")
    return [(turn["from"], turn["value"]) for turn in found]


def _check_order(talk: Turns) -> None:
    roles = [role for number, (role, _) in enumerate(talk) if number or role != "system"]
    if not roles or roles != ["human", "gpt"] * (len(roles) // 2):
        raise BadRecord("turns must alternate, human first, gpt last, system only before them")


def _check_placeholders(talk: Turns, images: int) -> None:
    asked = sum(value.count(PLACEHOLDER) for role, value in talk if role == "human")
    if asked != images:
        raise BadRecord(f"{images} pictures, but {asked} {PLACEHOLDER} in the human's turns")
    if any(PLACEHOLDER in value for role, value in talk if role != "human"):
        raise BadRecord(f"{PLACEHOLDER} outside the human's turns")
