"""What the benchmarks' questions have in common: yes-or-no answers, option texts."""

import re

from eval.types import Kind

_NUMBER = re.compile(r"<\s*image\s*(\d*)\s*>", re.I)
_LETTERED = re.compile(r"^\s*\(?([A-Za-z])\s*[:.)]\s*")


def picture_option(text: str) -> str:
    """An option, where it is a picture by its name: ``<image 2>`` becomes ``picture 2``."""
    return " ".join(_NUMBER.sub(lambda match: f"picture {match[1]}", text).split())


def without_letter(option: str, letter: str) -> str:
    """An option's text without its own letter before it."""
    match = _LETTERED.match(option)
    return option[match.end() :].strip() if match and match[1].upper() == letter else option.strip()


def yes_no_kind(answer: str) -> Kind:
    """Closed where the gold answer is yes or no, else open: the convention of sets that do not say."""
    # By the gold answer, as published results of these sets are counted.
    return Kind.CLOSED if answer.strip(" .").lower() in ("yes", "no") else Kind.OPEN
