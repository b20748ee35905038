"""The lines that docs/operations.md quotes are those that the program prints."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mics_ray.config.keys import HUB_TOKEN
from tests.support.program import ROOT

SECTIONS = ("What to do when", "Models from the hub")
VALUE = "\0"
"""Stands for a value that a template is filled with."""
EXAMPLE = re.compile(r"…|'[^']*'|\b[A-Z]{1,9}\b(?!_)|\((?=…)|\b\d+\b|[:;] ")
"""What is no fixed word of a quoted line: an example's value."""
LEAST, TEMPLATES = 6, 2
"""Letters of a piece that says something, as a shorter one stands anywhere; templates that may make a piece."""


@cache
def templates() -> str:
    """Every string of the sources, f-strings with :data:`VALUE` for what is filled in."""
    found: list[str] = []
    for folder in ("mics_ray", "eval", "train"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append("".join(_text_of(part) for part in node.values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


def _text_of(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.value.id == "HUB_TOKEN":
        return HUB_TOKEN
    return str(part.value) if isinstance(part, ast.Constant) else VALUE


def is_printed(piece: str) -> bool:
    """Whether a few templates, one after the other, make ``piece``; two words of each at least."""
    words = piece.split()
    if len(words) == 1:
        return piece in templates()
    for _ in range(TEMPLATES):
        longest = (end for end in range(len(words), 1, -1) if " ".join(words[:end]) in templates())
        if (end := next(longest, 0)) == 0:
            return False
        if not (words := words[end:]):
            return True
    return False


def quoted_lines(text: str) -> Iterator[str]:
    """The first column of the tables about lines, in the sections that are checked."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        if section.partition("\n")[0] not in SECTIONS:
            continue
        for table in re.findall(r"^\| line \|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE):
            yield from (re.split(r" \| ", row)[0].strip("|` ") for row in table.splitlines())


def fixed_pieces(line: str) -> list[str]:
    """The words of a quoted line between its examples."""
    pieces = (piece.strip(" ,;:()`") for piece in EXAMPLE.split(line))
    return [piece for piece in pieces if sum(map(str.isalpha, piece)) >= LEAST]


LINES = [*quoted_lines((ROOT / "docs/operations.md").read_text(encoding="utf-8"))]


def test_twenty_failures_are_told() -> None:
    text = Path(ROOT / "docs/operations.md").read_text(encoding="utf-8")
    first = text.partition("## What to do when")[2].partition("\n## ")[0]
    assert len([*quoted_lines(f"## What to do when{first}\n")]) == 20


@pytest.mark.parametrize("line", LINES)
def test_the_words_of_a_line_are_in_the_sources(line: str) -> None:
    pieces = fixed_pieces(line)
    assert pieces, "a line without fixed words"
    assert [piece for piece in pieces if not is_printed(piece)] == []


def test_words_that_no_source_has_are_seen() -> None:
    assert fixed_pieces("CACHE is full; HF_HOME names another (…)") == ["is full", "HF_HOME names another"]
    assert is_printed("HF_HOME names another")
    assert not is_printed("HF_HOME names a different one")
    assert not is_printed("what was paid is lost, the same command goes on")
