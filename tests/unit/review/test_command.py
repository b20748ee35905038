"""`mics report` and `mics show`: what a person may type, and the one line that answers it."""

import errno
from pathlib import Path

import pytest

from mics_ray.cli import main
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_REFUSED, EXIT_STOPPED, EXIT_USAGE
from mics_ray.review import report
from tests.support.run_folders import make_run, row


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "first", [row("case-17"), row("case-18")])


def test_a_report_names_what_it_wrote(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", f"run.dir={run}"]) == EXIT_OK
    said = capsys.readouterr().out
    assert f"{run}/report/index.html" in said
    assert f"{run}/report.html" in said
    assert main(["report", f"run.dir={run}", f"against={make_run(run.parent / 'second', [row('case-17')])}"]) == EXIT_OK


def test_a_case_is_shown_with_its_path_marked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", f"run.dir={run}", "case=case-18"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "case case-18" in said
    assert said.count("── * ") == 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/run/x"),
            EXIT_CANNOT_WRITE,
            "cannot write /run/x: No space left",
        ),
        (OSError(errno.EROFS, "Read-only file system"), EXIT_CANNOT_WRITE, "first: Read-only file system"),
        (KeyboardInterrupt(), EXIT_STOPPED, "stopped; a report that was there is as it was"),
    ],
)
def test_a_report_that_cannot_be_ended_leaves_nothing(
    error: BaseException,
    code: int,
    said: str,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr(report, "build_page", fail)
    assert main(["report", f"run.dir={run}"]) == code
    told = capsys.readouterr().out
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert not list(run.glob("report*"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "run.dir={run}", "case=case-1"], EXIT_REFUSED, "did you mean case-1"),
        (["show", "run.dir={run}", "case=zzz"], EXIT_REFUSED, "the first is case-17"),
        (["show", "run.dir={run}/nowhere", "case=x"], EXIT_REFUSED, "there is no folder"),
        (["report", "run.dir={run}/pictures"], EXIT_REFUSED, "no rows in"),
        (["report", "run.dir={run}", "against={run}"], EXIT_REFUSED, "the run itself"),
        (["report", "run.dir={run}", "against={run}/nowhere"], EXIT_REFUSED, "against: there is no folder"),
        (["report", "rundir={run}"], EXIT_USAGE, "did you mean run.dir=…?"),
        (["report", "{run}"], EXIT_USAGE, "no such setting"),
        (["report"], EXIT_USAGE, "write run.dir=…"),
        (["report", "run.dir="], EXIT_USAGE, "no value"),
        (["show", "run.dir={run}"], EXIT_USAGE, "case not given"),
        (["report", "run.dir={run}", "run.dir={run}"], EXIT_USAGE, "twice"),
    ],
)
def test_a_mistake_ends_in_one_line_that_says_what_to_do(
    words: list[str], code: int, said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(run=run) for word in words]) == code
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
