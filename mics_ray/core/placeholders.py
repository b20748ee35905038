"""Marks in a question that stand for its pictures: ``<image>``, ``<image 2>``, ``<image_2>``, ``<img>``, …"""

import re

_MARK = r"<\s*(?:image|img)\s*[_-]?\s*\d*\s*>|<ImageHere>|<\|image(?:_\d+|_pad)?\|>"
# The brackets of a picture in a Qwen prompt.
_RUN = re.compile(rf"(?:<\|vision_start\|>)?(?:{_MARK})(?:\s*(?:{_MARK}|<\|vision_(?:start|end)\|>))*", re.I)
_ONE = re.compile(_MARK, re.I)


def without_placeholders(text: str, pictures: int = 1) -> str:
    """A question without ``<image>`` and ``<image 2>``, for the pictures come before the text, in order.

    Those that stand by themselves are left out; what a sentence needs becomes words: ``the picture``, ``picture 2``,
    ``pictures 1 to 4``.
    """
    seen = 0

    def say(run: re.Match[str]) -> str:
        nonlocal seen
        # A bare <image> is the next picture after those that the text has spoken of.
        marks = [re.sub(r"\D", "", mark) for mark in _ONE.findall(run[0])]
        numbers = [int(number or seen + place) for place, number in enumerate(marks, 1)]
        seen = numbers[-1]
        alone = _ends_sentence(text[: run.start()]) and _begins_sentence(text[run.end() :])
        return " " if alone else _name_pictures(numbers, pictures)

    lines = (" ".join(line.split()) for line in _RUN.sub(say, text).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def holds_placeholder(text: str) -> bool:
    """Whether a picture's mark stands in ``text``."""
    return "<" in text and _ONE.search(text) is not None


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
    # A label, such as **Question:**, begins one too.
    return not after.strip() or after.lstrip(" ")[0] in "\n*#" or after.lstrip(" ")[0].isupper()
