"""A report as files: whole or not at all, everything in its folder, nothing that a page could run."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.jobs.lock import RunLock
from mics_ray.review import report
from mics_ray.review.data import chunks
from mics_ray.review.data.chunks import decode_data, unwrap_script
from mics_ray.review.page import single
from mics_ray.review.report import make_report
from mics_ray.review.report_folder import LOCK
from mics_ray.review.run_source import open_source
from tests.support.run_folders import make_run, row


def read_pieces(folder: Path, name: str) -> list[Any]:
    return [
        decode_data(unwrap_script(path.read_text())) for path in sorted((folder / "report/data" / name).glob("*.js"))
    ]


def test_a_report_holds_every_case_with_its_pictures_and_no_path_out_of_its_folder(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row("a"), row("b", images=("a.png", "gone.jpg")), row("c", images=())])
    made = make_report(open_source(folder))
    assert (made.page, made.single, made.cases, made.not_shown) == (
        folder / "report/index.html",
        folder / "report.html",
        3,
        1,
    )
    (cases,) = read_pieces(folder, "cases/a")
    assert [one["id"] for one in cases] == ["a", "b", "c"]
    shown, gone = cases[1]["pictures"]
    assert (folder / "report" / shown["file"]).read_bytes()[1:4] == b"PNG"
    assert (gone["file"], "no such file" in gone["problem"]) == ("", True)
    pages = [made.page.read_text(), (folder / "report.html").read_text()]
    for page in [*pages, json.dumps(cases)]:
        assert str(tmp_path) not in page
        assert not re.search(r"(src|href)=\"(?!#|assets/|charts/|data:)", page)
        assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg|http-equiv", "", page)
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*") if "report" in str(path.relative_to(folder))} == {
        0
    }
    assert not list(folder.glob("report.*[!l]"))


def test_the_page_in_one_file_holds_the_same_data(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row("a"), row("b")])
    make_report(open_source(folder))
    page = (folder / "report.html").read_text()
    held = dict(re.findall(r'<script type="text/plain" data-name="([^"]+)">([^<]*)</script>', page))
    assert decode_data(held["cases/a/0"]) == read_pieces(folder, "cases/a")[0]
    assert [name for name in held if name.startswith("pictures/")]
    assert html.unescape(page).count("data:image/svg+xml") > 5


@pytest.mark.parametrize(("bound", "word"), [("MOST_CASES", "cases"), ("MOST_BYTES", "MB")])
def test_a_large_run_is_no_single_file_and_an_older_one_goes(
    bound: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run", [row("a"), row("b")])
    assert make_report(open_source(folder)).single
    monkeypatch.setattr(single, bound, 1)
    made = make_report(open_source(folder))
    assert made.single is None
    assert word in made.why_not
    assert not (folder / "report.html").exists()


def test_hostile_text_is_nowhere_markup(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>\u202e"
    one = row(hostile, question=hostile, last_step=hostile, gold=hostile) | {"reason": f"{hostile} in round 1"}
    folder = make_run(tmp_path / "<b>run", [one])
    (folder / "summary.json").write_text(json.dumps({"finished": True, "doubts": [hostile]}))
    make_report(open_source(folder))
    for path in (folder / "report/index.html", folder / "report.html"):
        page = path.read_text()
        assert "<img src=x" not in page
        assert "<b>" not in page.partition("<body>")[0]
        assert page.count("</script>") == page.count("<script")


def test_a_failed_report_leaves_the_one_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path / "run", [row("a")])
    make_report(open_source(folder))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "draw_chart", fail)
    with pytest.raises(OSError, match="No space"):
        make_report(open_source(folder))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_a_killed_report_left_is_tidied(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row("a")])
    make_report(open_source(folder))
    # Killed between both renames: the earlier report is put back before a new one is made, so a failure loses nothing.
    (folder / "report").rename(folder / "report.old")
    (folder / "report.tmp/data").mkdir(parents=True)
    make_report(open_source(folder))
    assert sorted(path.name for path in folder.glob("report*")) == ["report", "report.html"]


def test_two_reports_of_a_run_are_not_made_at_once(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row("a")])
    with RunLock(folder / LOCK), pytest.raises(LockedRun, match="another report"):
        make_report(open_source(folder))


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row("a")])
    (folder / "results/part-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(RefusedRun, match="damaged"):
        make_report(open_source(folder))
    assert not (folder / "report").exists()


def test_the_warnings_say_what_the_figures_cannot_be_trusted_for(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row("a")])
    (folder / "summary.json").write_text(
        json.dumps({"finished": False, "simulated": True, "doubts": ["model x never answered"]})
    )
    told = " ".join(open_source(folder).list_warnings())
    assert all(words in told for words in ("not finished", "simulated", "model x never answered"))


def test_beside_another_run_each_case_finds_its_own_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 5_000)
    this = make_run(tmp_path / "this", [row("a"), row("b"), row("only")])
    that = make_run(
        tmp_path / "that", [row("x"), row("b", chosen="ab", outcome="depth"), row("a", question="Another?")]
    )
    make_report(open_source(this), open_source(that, "against"))
    (entries,) = read_pieces(this, "list/a")
    assert entries["other_number"] == [None, 1, None]
    assert (entries["other_outcome"][1], entries["other_score"][1]) == ("depth", 0.5)
    run = json.loads(re.search(r'id="run">(.*?)</script>', (this / "report/index.html").read_text())[1])
    assert (run["name"], run["against"], run["sides"]["b"]["count"]) == ("this", "that", 3)
    others = [case["id"] for piece in read_pieces(this, "cases/b") for case in piece]
    assert others == ["x", "b", "a"]
    assert "1 of 1 cases ended otherwise" in (this / "report/index.html").read_text()


def test_runs_of_other_cases_are_refused(tmp_path: Path) -> None:
    this, that = make_run(tmp_path / "this", [row("a")]), make_run(tmp_path / "that", [row("z")])
    with pytest.raises(RefusedRun, match="against: no case"):
        make_report(open_source(this), open_source(that, "against"))
    assert not (this / "report").exists()


def test_a_large_run_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path / "run", [row("a"), row("b")])
    (folder / "summary.json").write_text(json.dumps({"finished": True, "cases": 2}))
    make_report(open_source(folder))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(report, "LARGE", 2)
    make_report(open_source(folder))
    assert "2 of 2 cases read" in capsys.readouterr().err
