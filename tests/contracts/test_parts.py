"""Every test belongs to one part of `make test-all`, and the part of a test is one that reads its file."""

import ast
import re
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests.parts import PARTS, RAY_FOLDERS, TORCH_FOLDERS, make_command

ROOT = Path(__file__).parents[2]
MARKS: list[set[str]] = [
    set(), {"heavy"}, {"gpu"}, {"slow"}, {"heavy", "slow"}, {"cluster"}, {"cluster", "slow"}, {"chaos"},
    {"chaos", "long"}, {"cluster", "long"},
]  # fmt: skip


@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: "+".join(sorted(marks)) or "none")
def test_whatever_its_marks_a_test_is_in_one_part(marks: set[str]) -> None:
    chosen = [name for name, expression in PARTS.items() if Expression.compile(expression).evaluate(marks.__contains__)]
    assert len(chosen) == 1


@pytest.mark.parametrize(
    ("folders", "marks"), [(TORCH_FOLDERS, "heavy|gpu"), (RAY_FOLDERS, "cluster|chaos|long|outside")]
)
def test_files_that_the_fast_part_does_not_read_have_none_of_its_tests(folders: tuple[str, ...], marks: str) -> None:
    """An unmarked test there would be in no part that reads it."""
    marked = re.compile(rf"pytest\.mark\.({marks})\b")
    files = [
        file for folder in folders for file in [ROOT / folder, *(ROOT / folder).rglob("test_*.py")] if file.is_file()
    ]
    assert files
    for file in files:
        statements = ast.parse(file.read_text(encoding="utf-8")).body
        if any(isinstance(one, ast.Assign) and marked.search(ast.unparse(one)) for one in statements):
            continue
        for test in statements:
            if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
                assert any(marked.search(ast.unparse(one)) for one in test.decorator_list), f"{file}: {test.name}"


def test_files_that_are_named_are_read_whatever_the_part() -> None:
    assert "--ignore=tests/gpu" in make_command("fast", [], True)
    assert make_command("ray", ["tests/unit/test_cli.py::test_x"], True)[-1] == "tests/unit/test_cli.py::test_x"
    assert not any(word.startswith("--ignore") for word in make_command("fast", ["tests/gpu"], True))
