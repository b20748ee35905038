"""Reviews in other tools: out and back again, nothing lost, nothing taken that is not of the run's chains."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mics_ray.cli import main
from mics_ray.errors import EXIT_OK, EXIT_REFUSED, EXIT_USAGE
from mics_ray.review.exchange.csv_form import guard_cell, read_cell
from mics_ray.review.marks.chain import list_targets
from mics_ray.review.marks.reviewers import find_file
from mics_ray.review.marks.store import open_store, read_marks
from tests.support.reviews import review
from tests.support.run_folders import make_run, row

HARD = '=HYPERLINK("x";"y"), "quoted"\nsecond; line\tä 李'
ROWS = [row("=1+1", question=HARD, last_step="-2 cm"), row("two", chosen="ab"), row("0017")]
FORMS = ("csv", "label_studio")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "run", [*ROWS, row("end", outcome="dead_end") | {"steps": []}])
    review(folder, "ann", ROWS, {"=1+1": "rwua", "two": "r..x"})
    with open_store(folder, "ann") as store:
        for at, comment in enumerate((HARD, "'=x", "", "@me")):
            target = list_targets(ROWS[0])[at]
            store.set_mark(target, store.book.current[target].verdict, comment, store.book.find_version(target))
    return folder


def standing(run: Path, reviewer: str) -> dict[tuple[str, int | None], tuple[str | None, str]]:
    book = read_marks(find_file(run, reviewer)).book
    return {(mark.case_id, mark.step): (mark.verdict, mark.comment) for mark in book.current.values()}


def send(run: Path, form: str, *words: str) -> Path:
    assert main(["review", "export", f"run.dir={run}", f"format={form}", *words]) == EXIT_OK
    return next((run / "reviews").glob(f"export-{form}*")) / ("marks.csv" if form == "csv" else "tasks.json")


def take(run: Path, form: str, file: Path, reviewer: str = "bob", *words: str) -> int:
    return main(
        ["review", "import", f"run.dir={run}", f"format={form}", f"file={file}", f"reviewer={reviewer}", *words]
    )


@pytest.mark.parametrize("form", FORMS)
def test_marks_go_out_and_come_back_as_they_were(form: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = send(run, form, "reviewer=ann")
    assert oct(file.stat().st_mode)[-3:] == "600"
    assert len(list((file.parent / "pictures").rglob("*.png"))) == 1
    assert take(run, form, file) == EXIT_OK
    assert "6 marks read: 6 new, 0 in place of others of bob, 0 as they stood" in capsys.readouterr().out
    assert standing(run, "bob") == standing(run, "ann")
    assert take(run, form, file) == EXIT_OK
    assert "0 new, 0 in place of others of bob, 6 as they stood" in capsys.readouterr().out
    assert len(read_marks(find_file(run, "bob")).book.marks) == 6


@pytest.mark.parametrize("form", FORMS)
def test_without_a_reviewer_no_mark_goes_out_and_nothing_filled_in_is_written_over(form: str, run: Path) -> None:
    file = send(run, form)
    assert "unsure" not in file.read_text(encoding="utf-8-sig")
    assert take(run, form, file) == EXIT_OK
    assert not find_file(run, "bob").exists()
    assert main(["review", "export", f"run.dir={run}", f"format={form}"]) == EXIT_REFUSED


def fill_csv(file: Path, change: Callable[[list[dict[str, str]]], object], separator: str = ",") -> None:
    """Read, change and save a table as a spreadsheet does."""
    lines = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    change(lines)
    out = io.StringIO()
    table = csv.DictWriter(out, list(lines[0]), delimiter=separator)
    table.writeheader()
    table.writerows(lines)
    file.write_text(out.getvalue(), encoding="utf-8-sig")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_filled_in_by_a_spreadsheet_is_read(separator: str, run: Path) -> None:
    file = send(run, "csv")

    def change(lines: list[dict[str, str]]) -> None:
        for line in lines:
            if line["case_id"] == "two":
                line |= {"verdict": " Accept " if line["step"] == "chain" else "WRONG", "comment": "a;b,\nc"}

    fill_csv(file, change, separator)
    assert take(run, "csv", file) == EXIT_OK
    assert set(standing(run, "bob").values()) == {("wrong", "a;b,\nc"), ("accept", "a;b,\nc")}
    assert len(standing(run, "bob")) == 4


def test_no_cell_is_a_formula(run: Path) -> None:
    file = send(run, "csv", "reviewer=ann")
    for line in csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in line)
    for text in ("=x", "'=x", "''", "'", "x", "", "-", "'x", "\t="):
        assert read_cell(guard_cell(text)) == text


def first(lines: list[dict[str, str]], **values: str) -> None:
    lines[0] |= {"verdict": "right", **values}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: first(lines, case_id="17"), "keeps no chain of such a case"),
        (lambda lines: first(lines, case_id="end"), "keeps no chain of such a case"),
        (lambda lines: first(lines, chain="c0"), "of another chain of this case"),
        (lambda lines: first(lines, step="9"), "no such step"),
        (lambda lines: first(lines, step="0"), "step is neither a number nor"),
        (lambda lines: first(lines, step="1.0"), "step is neither a number nor"),
        (lambda lines: first(lines, verdict="accept"), "verdict is none of right, wrong, unsure"),
        (lambda lines: first(lines, verdict="richtig"), "verdict is none of"),
        (lambda lines: (first(lines), lines.append(lines[0])), "marked twice"),
        (lambda lines: [line.pop("chain") for line in lines], "its first line lacks chain"),
    ],
)
def test_a_table_with_a_mistake_is_refused_whole(
    change: Callable[[list[dict[str, str]]], object], said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = send(run, "csv")

    def spoil(lines: list[dict[str, str]]) -> None:
        lines[-1]["verdict"] = "accept"
        change(lines)

    fill_csv(file, spoil)
    assert take(run, "csv", file) == EXIT_REFUSED
    told = capsys.readouterr().err
    assert said in told
    assert "HYPERLINK" not in told
    assert not find_file(run, "bob").exists()


def annotate(file: Path, *annotations: dict[str, Any]) -> None:
    """As Label Studio exports tasks that people have annotated."""
    tasks = json.loads(file.read_text())
    for number, task in enumerate(tasks, 1):
        task |= {"id": number, "project": 1, "predictions": [], "annotations": list(annotations)}
    file.write_text(json.dumps(tasks))


def give(verdict: str, person: object, **more: Any) -> dict[str, Any]:
    parts = [
        {"from_name": "verdict_1", "to_name": "step_1", "type": "choices", "origin": "manual", "id": "Dx_aB91ISN",
         "value": {"choices": [verdict]}},
        {"from_name": "comment_1", "to_name": "step_1", "type": "textarea", "id": "x",
         "value": {"text": ["one", "two"]}},
        {"from_name": "other", "to_name": "step_1", "type": "rating", "id": "y", "value": {"rating": 3}},
    ]  # fmt: skip
    return {"id": 7, "completed_by": person, "was_cancelled": False, "result": parts, **more}


def test_annotations_of_label_studio_are_read(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = send(run, "label_studio")
    annotate(
        file, give("right", 3), give("wrong", {"id": 4, "email": "eve@x.org"}), give("unsure", 3, was_cancelled=True)
    )
    assert take(run, "label_studio", file) == EXIT_REFUSED
    assert "2 annotations: give completed_by=" in capsys.readouterr().err
    assert take(run, "label_studio", file, "bob", "completed_by=3") == EXIT_OK
    assert take(run, "label_studio", file, "eve", "completed_by=eve@x.org") == EXIT_OK
    assert set(standing(run, "bob").values()) == {("right", "one\ntwo")}
    assert set(standing(run, "eve").values()) == {("wrong", "one\ntwo")}
    assert len(standing(run, "eve")) == 3


def test_the_configuration_names_what_tasks_hold(run: Path) -> None:
    file = send(run, "label_studio", "reviewer=ann")
    view = ET.parse(file.with_name("label_config.xml")).getroot()
    shown = {element.get("name"): element for element in view if element.get("name")}
    assert {element.get("toName") for element in view if element.get("toName")} <= shown.keys()
    for task in json.loads(file.read_text()):
        for element in shown.values():
            value = element.get("value") or element.get("valueList")
            assert value is None or value.removeprefix("$") in task["data"]
        for part in [part for one in task.get("annotations", ()) for part in one["result"]]:
            assert shown[part["from_name"]].get("toName") == part["to_name"]
            choices = [choice.get("value") for choice in shown[part["from_name"]]]
            assert not choices or part["value"]["choices"][0] in choices


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"case_id\rchain\rstep",
        b"",
        b"\xff\xfe\x00",
        b"{}",
        b"[1]",
        b'[{"data": {}}]',
        b"[[[",
        b"a,b\n1,2\n",
        b"null",
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_any_other_file_is_refused(form: str, content: bytes, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert take(run, form, tmp_path / "file") == EXIT_REFUSED


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["export", "run.dir={run}", "format=xml"], EXIT_REFUSED, "format: write csv or label_studio"),
        (["export", "run.dir={run}"], EXIT_USAGE, "format not given"),
        (["export", "run.dir={run}", "format=csv", "review.sample=0"], EXIT_REFUSED, "a whole number from 1"),
        (["export", "run.dir={run}", "format=csv", "reviewer=../ann"], EXIT_REFUSED, "a name is letters"),
        (["import", "run.dir={run}", "format=csv", "file={run}/no.csv", "reviewer=ann"], EXIT_REFUSED, "no file"),
        (["import", "run.dir={run}", "format=csv", "reviewer=ann"], EXIT_USAGE, "file not given"),
        (["sumary", "run.dir={run}"], EXIT_USAGE, "no such setting"),
        (["run.dir={run}"], EXIT_USAGE, "reviewer not given"),
        (["run.dir={run}", "reviewer=ann", "review.order=best"], EXIT_REFUSED, "write sample or uncertainty"),
        (["run.dir={run}", "reviewer=ANN"], EXIT_REFUSED, "give reviewer=ann"),
        (["run.dir={run}", "reviewer=ann", "review.seed=x"], EXIT_REFUSED, "review.seed: write a whole number"),
    ],
)
def test_a_mistake_ends_in_one_line(
    words: list[str], code: int, said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", *(word.format(run=run) for word in words)]) == code
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
