"""The case log: one line of ids and counts for each case, no word of it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mics_ray.core.types import Usage
from mics_ray.runtime.monitor.logs import CaseLog, case_line
from tests.support.run_folders import row

CANARY = "canary-77d0"


def full_row(case_id: str = "case-1") -> dict[str, Any]:
    """A row with the canary in every text that comes from a case or a model."""
    found = row(case_id, question=CANARY, last_step=CANARY, gold=CANARY)
    usage = [{"model": name, **asdict(Usage(3, 1, 100, 20, 0.25, 60, 8))} for name in ("gpt", "qwen")]
    found |= {"usage": usage, "seconds": 1.23456, "reason": CANARY}
    for node in found["nodes"]:
        node["failure"] = f"no_answer: {CANARY}"
        for vote in node["votes"]:
            vote |= {"text": CANARY, "answer": CANARY, "judge_reply": CANARY, "failure": None}
    found["nodes"][0]["votes"][0]["failure"] = f"timeout: {CANARY}: more"
    return found


def test_a_line_holds_the_case_in_figures() -> None:
    found = full_row()
    assert json.loads(case_line(found, 86400.0)) == {
        "time": "1970-01-02T00:00:00Z",
        "case": "case-1",
        "outcome": "solved",
        "quality": found["quality"],
        "rounds": 2,
        "attempts": 1,
        "calls": 6,
        "cached": 2,
        "prompt_tokens": 200,
        "completion_tokens": 40,
        "cached_tokens": 120,
        "reasoning_tokens": 16,
        "cost_usd": 0.5,
        "seconds": 1.235,
        "failures": {"no_answer": 4, "timeout": 1},
    }


def test_no_text_of_the_case_is_in_its_line(tmp_path: Path) -> None:
    rows = [full_row("a"), full_row("b")]
    assert CANARY in json.dumps(rows)
    CaseLog(tmp_path).append_rows(rows)
    text = (tmp_path / "cases.jsonl").read_text()
    assert [json.loads(line)["case"] for line in text.splitlines()] == ["a", "b"]
    assert CANARY not in text


def test_lines_are_appended_and_private(tmp_path: Path) -> None:
    for name in "ab":
        CaseLog(tmp_path).append_rows([full_row(name)])
    path = tmp_path / "cases.jsonl"
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_id_with_a_line_break_stays_in_one_line() -> None:
    line = case_line(full_row("a\nb\u2028"), 0.0)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["case"] == "a\nb\u2028"


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    CaseLog(tmp_path / "gone").append_rows([full_row()])
    assert "lines are missing" in caplog.text
