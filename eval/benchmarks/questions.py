"""What the benchmarks' questions have in common: picture placeholders, yes-or-no answers, option texts."""

import re

from eval.types import Kind

_RUN = re.compile(r"<\s*image\s*\d*\s*>(?:\s*<\s*image\s*\d*\s*>)*", re.I)
_NUMBER = re.compile(r"<\s*image\s*(\d*)\s*>", re.I)
_LETTERED = re.compile(r"^\s*\(?([A-Za-z])\s*[:.)]\s*")


def without_placeholders(text: str, pictures: int = 1) -> str:
    """A question without ``<image>`` and ``<image 2>``, for the pictures come before the text, in order.

    Those that stand by themselves are left out; what a sentence needs becomes words: ``the picture``, ``picture 2``,
    ``pictures 1 to 4``.
    """
    seen = 0

    def say(run: re.Match[str]) -> str:
        nonlocal seen
        # A bare <image> is the next picture after those that the text has spoken of.
        numbers = [int(number or seen + place) for place, number in enumerate(_NUMBER.findall(run[0]), 1)]
        seen = numbers[-1]
        alone = _ends_sentence(text[: run.start()]) and _begins_sentence(text[run.end() :])
        return " " if alone else _name_pictures(numbers, pictures)

    lines = (" ".join(line.split()) for line in _RUN.sub(say, text).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


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


def _name_pictures(numbers: list[int], pictures: int) -> str:
    if pictures < 2:
        return "the picture"
    if len(numbers) == 1:
        return f"picture {numbers[0]}"
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"pictures {numbers[0]} to {numbers[-1]}" if whole else f"pictures {', '.join(map(str, numbers))}"


def _ends_sentence(before: str) -> bool:
    return not before.strip() or before.rstrip(" ")[-1] in ".?!\n"


def _begins_sentence(after: str) -> bool:
    return not after.strip() or after.lstrip(" ")[0] == "\n" or after.lstrip(" ")[0].isupper()
