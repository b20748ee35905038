"""Notes of cases, read again from the run's input."""

import json
from pathlib import Path
from typing import Any

from mics_ray.review.case_notes import read_case_notes
from tests.support.run_folders import row

RECORD = {
    "rid": "case-1",
    "messages": [
        {"role": "user", "content": "**Question:** What is shown?"},
        {"role": "assistant", "content": "**Correct Answer:** Gold"},
    ],
    "images": ["a.png"],
    "presentation": "Chest pain.",
    "caption": ["The heart is wide."],
}


def find(folder: Path, record: dict[str, Any], one: dict[str, Any]) -> dict[str, str]:
    (folder / "cases.jsonl").write_text(json.dumps(record) + "\n")
    with read_case_notes(str(folder / "cases.jsonl"), folder / "notes.sqlite") as notes:
        assert notes.problem == ""
        return {note["label"]: note["text"] for note in notes.find_notes(one)}


def test_notes_are_those_beside_the_context(tmp_path: Path) -> None:
    assert find(tmp_path, RECORD, row()) == {"Complaint": "Chest pain.", "Findings": "The heart is wide."}
    assert find(tmp_path, RECORD, row(context="Complaint: Chest pain.")) == {"Findings": "The heart is wide."}
    assert [path.name for path in tmp_path.iterdir()] == ["cases.jsonl"]


def test_an_input_that_changed_since_tells_nothing_of_its_other_cases(tmp_path: Path) -> None:
    assert find(tmp_path, RECORD, row(question="Which side is it?")) == {}
    assert find(tmp_path, RECORD, row("case-2")) == {}


def test_an_input_that_is_gone_is_said_without_its_path(tmp_path: Path) -> None:
    for given in (str(tmp_path / "nowhere.jsonl"), None, [], str(tmp_path)):
        with read_case_notes(given, tmp_path / "notes.sqlite") as notes:
            assert notes.problem
            assert str(tmp_path) not in notes.problem
            assert notes.find_notes(row()) == []
