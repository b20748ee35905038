"""The summary of a review: shares by mentor, round and score, judge and people, on the terminal and in the report."""

from pathlib import Path

import pytest

from mics_ray.cli import main
from mics_ray.errors import EXIT_OK, EXIT_REFUSED
from mics_ray.review.run_source import open_source
from mics_ray.review.summary.collect import ReviewTally
from mics_ray.review.summary.command import tally_reviews
from mics_ray.review.summary.figures import compare_judge, list_review_charts, list_tables
from tests.support.reviews import review
from tests.support.run_folders import make_run, row

ROWS = [
    row("one", images=("1.png",)),  # ann 0.5, then ann 1.0, then a closing step of ann
    row("two", chosen="ab", images=("2.png",)),  # ann 0.5, bob 0.5
    row("three", images=("3.png",)),
    row("four", ({"ann": "wwwr", "bob": "wwww"},), "a", "depth", images=("4.png",)),  # ann 0.25
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two reviewers: ann marked three chains, bob two of them."""
    folder = make_run(tmp_path / "run", ROWS)
    review(folder, "ann", ROWS, {"one": "rrra", "two": "rwux", "four": "wrx"})
    review(folder, "bob", ROWS, {"one": "rwra", "two": "rwwa"})
    return folder


def read(run: Path) -> dict[str, dict[str, list[str]]]:
    """The tables: by title, rows by their first cell (and of the agreement by the first three)."""
    tables = list_tables(tally_reviews(open_source(run)))
    return {
        table.title: {" ".join(line[: 3 if table.title == "Agreement" else 1]): list(line) for line in table.rows}
        for table in tables
    }


def test_shares_by_mentor_and_round_are_those_of_the_marks(run: Path) -> None:
    tables = read(run)
    # Mentor and round of steps: one: ann 1, ann 2, closing ann; two: ann 1, bob 2, closing bob; four: ann 1, closing.
    assert tables["Steps right, by mentor"]["ann"][:5] == ["ann", "8", "2", "0", "80.0 %"]
    assert tables["Steps right, by mentor"]["bob"][:5] == ["bob", "0", "3", "1", "0.0 %"]
    assert list(tables["Steps right, by round"]) == ["1", "2", "closing"]
    assert tables["Steps right, by round"]["1"][1:5] == ["4", "1", "0", "80.0 %"]
    assert tables["Steps right, by round"]["2"][1:5] == ["1", "3", "0", "25.0 %"]
    assert tables["Steps right, by round"]["closing"][1:5] == ["3", "1", "1", "75.0 %"]
    assert tables["Review by people: steps"]["ann"][1:5] == ["5", "2", "1", "71.4 %"]
    assert tables["Review by people: chains"]["ann"][1:4] == ["1", "2", "33.3 %"]
    assert tables["Review by people: chains"]["bob"][1:4] == ["2", "0", "100.0 %"]


def test_scores_are_set_beside_what_people_say(run: Path) -> None:
    tables = read(run)
    # Steps of score 0.5 ("to 0.6"): one 1 (rr), two 1 (rr), two 2 (ww); 1: one 2 (rw); 0.25 ("to 0.4"): four 1 (w).
    assert {name: line[1:5] for name, line in tables["Steps by MICS-Score"].items()} == {
        "to 0.4": ["0", "1", "0", "0.0 %"], "to 0.6": ["4", "2", "0", "66.7 %"], "1": ["1", "1", "0", "50.0 %"],
    }  # fmt: skip
    chains = tables["Chains by MICS-Score: is a score of 1 a good chain?"]
    assert {name: line[1:4] for name, line in chains.items()} == {
        "to 0.4": ["0", "1", "0.0 %"], "to 0.6": ["1", "1", "50.0 %"], "1": ["2", "0", "100.0 %"],
    }  # fmt: skip


def test_agreement_of_people_and_of_the_judge(run: Path) -> None:
    table = read(run)["Agreement"]
    # Steps of both: rr rw rr | rr ww uw: alike 4 of 6; ann r4 w1 u1, bob r3 w3: pe = (4*3 + 1*3) / 36, kappa = 3/7.
    assert table["steps Cohen's kappa ann, bob"][3:] == ["6", "66.7 %", f"{(4 / 6 - 15 / 36) / (1 - 15 / 36):.3f}"]
    assert table["chains Cohen's kappa ann, bob"][3:] == ["2", "50.0 %", "0.000"]
    # The judge: one 2 right (people r, w), four 1 wrong (people w); rrww are ties. alike 2/3, pe = (2*1 + 1*2) / 9.
    found = compare_judge(tally_reviews(open_source(run)))
    assert (found.items, found.alike) == (3, pytest.approx(2 / 3))
    assert found.value == pytest.approx((2 / 3 - 4 / 9) / (5 / 9))


def test_marks_of_another_chain_are_counted_and_left_out(run: Path, tmp_path: Path) -> None:
    other = [row("one", images=("1.png",), last_step="Another end."), *ROWS[1:]]
    moved = make_run(tmp_path / "other", other)
    (run / "reviews").rename(moved / "reviews")
    tally = tally_reviews(open_source(moved))
    assert tally.strangers == 8
    assert {step.item.split("\n")[0] for step in tally.steps} == {"two", "four"}
    assert "8 marks are of chains that the run does not hold" in list_tables(tally)[0].words


def test_charts_show_what_is_marked(run: Path) -> None:
    charts = {chart.name: chart for chart in list_review_charts(tally_reviews(open_source(run)))}
    assert charts["review_scores"].places == ("to 0.4", "to 0.6", "1")
    assert charts["review_scores"].series[0].values == (0.0, 0.5, 1.0)
    assert charts["review_scores"].series[2].values == (0.25, 0.5, 1.0)
    assert charts["review_mentors"].places == ("1", "2", "closing")
    assert list_review_charts(ReviewTally({})) == []
    assert list_tables(ReviewTally({})) == []


def test_the_terminal_and_the_report_tell_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "summary", f"run.dir={run}"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "is a score of 1 a good chain?" in said
    assert "…" not in said
    assert "Fleiss' kappa" in said
    assert main(["report", f"run.dir={run}"]) == EXIT_OK
    page = (run / "report/index.html").read_text()
    assert "Review by people" in page
    assert (run / "report/charts/review_scores.svg").is_file()
    # Whose verdicts they are is told; what was written is for the reviewer alone.
    assert main(["review", "summary", f"run.dir={make_run(run.parent / 'bare', ROWS)}"]) == EXIT_REFUSED
    assert "no chain of" in capsys.readouterr().err
