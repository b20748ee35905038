"""Every block of YAML in the docs that begins with the name of a group's file composes and passes the checks."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mics_ray.assemble.checks import check_job
from mics_ray.assemble.probe_advice import suggest_line
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import ModelConfig
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.types import Failure

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "cluster").glob("*.md")])
BLOCK = re.compile(r"^ *```yaml\n(.*?)^ *```$", re.M | re.S)
NAME = re.compile(r"^ *# (?:my/)?(mentors|interns|judge|prompts)/(\w+)\.yaml\b.*\n", re.M)
"""The first line of a group's file in a block; a block may hold several files."""


def list_files(page: Path) -> Iterator[tuple[str, str, str]]:
    """(group, name, text) of each group's file that ``page`` shows."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        marks = list(NAME.finditer(block))
        assert block.lstrip().startswith("#") or not marks, f"{page.name}: a block with a file begins with its name"
        ends = [*(mark.start() for mark in marks[1:]), len(block)]
        for mark, end in zip(marks, ends, strict=False):
            yield mark[1], mark[2], block[mark.end() : end]


FILES = [(page.name, *found) for page in PAGES for found in list_files(page)]


def test_the_pages_show_files() -> None:
    pages = [page for page, *_ in FILES]
    assert pages.count("providers.md") >= 9
    assert "README.md" in pages


@pytest.mark.parametrize(("page", "group", "name", "text"), FILES, ids=lambda part: str(part)[:20])
def test_each_file_composes_and_passes_the_checks(
    page: str, group: str, name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in re.findall(r"\b[A-Z]+(?:_[A-Z]+)*_KEY\b", text):
        monkeypatch.setenv(variable, "set for this test")
    (tmp_path / group).mkdir()
    (tmp_path / group / f"{name}.yaml").write_text(text)
    # One mentor is a search of its own only for the control.
    config = compose_config(["experiment=demo", "search=best_of_n", f"{group}={name}"], tmp_path)
    check_job(config)
    assert page


SAID = re.compile(r"^\| the provider says \| write \|\n\|---\|---\|\n((?:\|.*\n)+)", re.M)


def test_the_probe_suggests_what_the_page_says() -> None:
    (rows,) = SAID.findall((ROOT / "docs/providers.md").read_text(encoding="utf-8"))
    answers = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]
    assert len(answers) == 5
    for said, line in answers:
        fault = Fault(Action.LOSE, Failure("bad_request", "400"), said=said)
        assert suggest_line(fault, ModelConfig()) == line.strip("`"), said


def test_no_page_names_a_model_that_was_shut_down() -> None:
    """But for the files of the paper's set, which say so."""
    gone = re.compile(r"chatgpt-4o|deepseek-(chat|reasoner)|gemini-2\.5-pro-preview|gpt-4-turbo")
    shown = [*PAGES, *(ROOT / "conf").rglob("*.yaml"), ROOT / "CONTRIBUTING.md"]
    naming = {str(page.relative_to(ROOT)) for page in shown if gone.search(page.read_text(encoding="utf-8"))}
    assert naming == {"conf/mentors/paper.yaml", "conf/judge/deepseek.yaml"}
