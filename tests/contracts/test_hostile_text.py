"""S14: text of a model or an input file is data to a terminal, a log and a report, never markup, HTML or a command."""

import io
import json
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eval.rejudge.report import render_rejudgement
from eval.reports.markdown import render_report
from eval.reports.paper import render_paper
from mics_ray.assemble.case_search import failed_result
from mics_ray.command_line import run_program
from mics_ray.commands.verify import print_check
from mics_ray.core.display import make_one_line, make_printable
from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.io.results.results_check import ResultsCheck, check_results
from mics_ray.replay.account import Account, print_account
from mics_ray.replay.committed_rows import Comparison
from mics_ray.runtime.monitor.case_view import draw_case
from mics_ray.runtime.monitor.logs import CASE_LOG, CaseLog, log_into_folder
from mics_ray.runtime.monitor.watch_screen import Pace, draw_screen
from mics_ray.runtime.monitor.watch_view import RunView
from tests.support.run_folders import row

FORGED = "2026-01-01 00:00:00,000 ERROR forged"
HOSTILE = {
    "html": "<script>alert(1)</script>",
    "markup": "[red]x[/red] [/]",
    "terminal": "a\x1b[2J\x1b]0;title\x07b",
    "return": "ERROR\r    ok",
    "line": f"x\n{FORGED}\u2028{FORGED}",
    "table": "a | b |\n|---|",
    "link": "[here](javascript:alert(1))",
    "turned": "\u202egnp.exe\u2069",
    "c1": "\x9b2J",
}
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def shown(*things: Any) -> str:
    """What a terminal without colours gets."""
    screen = io.StringIO()
    console = Console(file=screen, width=400, force_terminal=True, color_system=None)
    for thing in things:
        console.print(thing)
    return screen.getvalue()


def assert_harmless(said: str, text: str) -> None:
    """Nothing in ``said`` that a terminal obeys, and ``text`` is in it with its markup as text."""
    assert not OBEYED.search(said), said
    assert all(part in said for part in re.findall(r"\[/?red\]", text))


@hostile
def test_the_closing_screen_shows_a_chain_as_text(text: str) -> None:
    found = row(f"c {text}", question=text, last_step=text, gold=text) | {"reason": text}
    found["nodes"][-1]["failure"] = f"timeout: {text}"
    assert_harmless(shown(draw_case(found)), text)


@hostile
def test_the_watch_screen_shows_ids_as_text(text: str) -> None:
    view = RunView("r", "running", 3, Counter(solved=1))
    line = {"time": "1970-01-01T00:00:00Z", "case": text[:25], "outcome": "solved", "failures": {}}
    view.recent = [line | dict.fromkeys(("quality", "rounds", "calls", "cost_usd", "seconds"), 1)]
    assert_harmless(shown(draw_screen(view, Pace())), text)


@hostile
def test_a_replay_and_a_check_name_cases_as_text(text: str, tmp_path: Path) -> None:
    told = Comparison(differing=1, examples=[text])
    account = Account(tmp_path / "replay" / "x", 1, 1, [], 0, told, [], {}, 1.0)
    screen = io.StringIO()
    console = Console(file=screen, width=400, force_terminal=True, color_system=None, highlight=False)
    print_account(console, account)
    found: ResultsCheck = check_results(tmp_path, cases_of(tmp_path, text))
    assert found.missing.count == 1
    print_check(console, found)
    assert_harmless(screen.getvalue(), text)
    assert screen.getvalue().count(make_one_line(text)) == 2


def cases_of(folder: Path, case_id: str) -> Path:
    """An input of one case."""
    path = folder / "cases.jsonl"
    messages = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "Gold"}]
    path.write_text(json.dumps({"id": case_id, "messages": messages, "images": []}))
    return path


@hostile
def test_a_refusal_is_told_as_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    def refused() -> int:
        raise RefusedRun(text)

    assert run_program(refused) == RefusedRun.code
    assert_harmless(capsys.readouterr().err, text)


@hostile
def test_a_log_has_one_line_for_a_record_and_for_a_case(text: str, tmp_path: Path) -> None:
    logger = logging.getLogger("mics_ray")
    before = (logger.handlers[:], logger.level, logger.propagate, logging.raiseExceptions)
    try:
        log_into_folder(tmp_path, "worker")
        failed_result(Case(text, text, text, ()), ValueError(text), 0)
        logging.getLogger("mics_ray.x").warning("after %s", text)
        for handler in logger.handlers:
            handler.flush()
    finally:
        for handler in set(logger.handlers) - set(before[0]):
            handler.close()
        logger.handlers[:], logger.level, logger.propagate, logging.raiseExceptions = before
    said = (tmp_path / "worker.log").read_text(encoding="utf-8")
    assert not OBEYED.search(said)
    assert len(said.splitlines()) == 2
    assert not any(line.startswith(FORGED) for line in said.splitlines())

    CaseLog(tmp_path).append_rows([row(text)])
    (line,) = (tmp_path / CASE_LOG).read_text(encoding="utf-8").splitlines()
    assert line.isascii()
    assert json.loads(line)["case"] == text


def assert_tables_hold(report: str) -> None:
    """Every row of a table has as many cells as its head, and no HTML or link begins anywhere."""
    assert not OBEYED.search(report)
    assert "<" not in report
    assert "](" not in report
    cells = 0
    for line in report.split("\n"):
        found = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (cells and found) or cells == found, line
        cells = found


@hostile
def test_the_report_of_another_judge_is_harmless(text: str) -> None:
    moved = {"case_id": text, "attempt": 1, "round": 1, "from_mentor": text, "from_end": "", "to_mentor": None}
    report = {
        "judge": text, "recorded_judge": text, "votes": 1, "cases": 1, "unknown": {}, "spent_usd": 0.0,
        "agreement": {"answers": 1, "equal": 1.0, "kappa": None, "low": None, "high": None, "interval": "none"},
        "usage": {"cost_usd": 0.0, "calls": 1, "cached_calls": 0},
        "flips": {"right_to_wrong": {"votes": 1, "cases": [text]}},
        "changed_rounds": 1, "rounds": 1, "changed_cases": 1, "other_step": 0, "undecided": 0, "not_reproduced": 0,
        "changed": [moved | {"to_end": "dead_end"}],
    }  # fmt: skip
    assert_tables_hold(render_rejudgement(report))


@hostile
def test_the_report_of_an_evaluation_is_harmless(text: str) -> None:
    mark = {"items": 1, "accuracy": 1.0, "low": 0.5, "high": 1.0, "parse_rate": 1.0, "lost": 0, "known": 1}
    mark |= {"strict": 1.0, "strict_low": 0.5, "strict_high": 1.0, "form_rate": 1.0, "ambiguous": 0}
    chains = {"mics_clean": 1.0, "mics_scored": 1, "mics_leaking": 0, "mics_no_form": 0, "mics_lost": 0}
    scored = mark | chains | {"mics_score": 1.0, "bert_score": None}
    found = scored | {"in_domain": False, "by": {"topic": {text: mark}}}
    report = {
        "model": text, "benchmarks": {text: found}, "all": scored, "mean_of_benchmarks": 1.0,
        "simulated_judge": False,
        "asked_for_form": False, "served": {"model": text}, "config_digests": ["d"], "code_versions": ["v"],
    }  # fmt: skip
    assert_tables_hold(render_report(report))
    counts = {"split": text, "kind": None, "topic": text, "items": 1, "note": text}
    paper = {
        "split": text,
        "figures": {"m": 1.0},
        "counts": counts,
        "why_not": "",
        "ours": mark,
        "by_kind": {"open": mark},
    }
    assert_tables_hold("\n\n".join(render_paper({text: {"paper": paper}})))


def test_plain_text_of_any_language_is_shown_as_it_is() -> None:
    for text in ("Épanchement: 気胸 (pneumothorax) < 2 cm", "שלום", "a\nb", "𝔘 👩\u200d⚕️"):
        assert make_printable(text) == text
    assert make_one_line("a\nb") == "a\ufffdb"
