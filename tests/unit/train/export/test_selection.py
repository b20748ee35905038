"""What an export decides over all rows: duplicates, patients, names, lengths, the split."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mics_ray.errors import RefusedRun
from mics_ray.review.marks.verdicts import ChainVerdicts
from train.export.pictures import Picture
from train.export.runs import Run
from train.export.select import Dropped, Kept
from train.export.selection import Selection, open_table

few = st.sampled_from("abcdefgh")
RUN = Run("run", Path("run"), "", {}, "", True, ())


@pytest.fixture
def empty() -> Iterator[Selection]:
    with closing(sqlite3.connect(":memory:")) as table:
        yield Selection(table)


def kept(name: str, question: str = "", score: float = 1.0, shown: Sequence[str] = (), **more: Any) -> Kept:
    """A kept row; ``shown`` are the digests of its pictures."""
    about = {"case_id": name, "question": question or name, "outcome": "solved", "rounds": 1} | more
    pictures = tuple(Picture(f"{one}.png", one, (1, 1), "copied") for one in shown)
    return Kept(about.pop("run", RUN), about, about.pop("patient", name), score, pictures, about.pop("verdicts", None))


def fill(selection: Selection, *rows: Kept, tokens: int = 10) -> Selection:
    for number, one in enumerate(rows):
        selection.keep_row(number, one, tokens)
    return selection


def names(selection: Selection, validates: bool | None = None) -> list[str]:
    return [one.name for one in selection.iter_samples() if validates in (None, one.validates)]


def test_of_equal_questions_on_equal_pictures_the_best_score_stays(empty: Selection) -> None:
    rows = [
        kept("a", "What is  shown?", 0.5, "xy"),
        kept("b", "what is shown", 1.0, "yx"),
        kept("c", "What is shown?", 1.0, "xy"),
        kept("d", "What is shown?", 0.1, "x"),
        kept("e", "What is not shown?", 0.1, "xy"),
    ]
    fill(empty, *rows).drop_duplicates()
    assert names(empty) == ["b", "d", "e"]
    assert list(empty.iter_dropped("duplicate")) == [
        {"id": name, "run": "run", "detail": "of b in run"} for name in ("a", "c")
    ]


def test_signs_inside_a_question_make_it_another(empty: Selection) -> None:
    fill(empty, kept("a", "Is T2+ seen?"), kept("b", "Is T2- seen?")).drop_duplicates()
    assert names(empty) == ["a", "b"]


def test_what_people_say_goes_before_the_score(empty: Selection) -> None:
    said = {"a": (0, 1), "b": None, "c": (1, 0), "d": (1, 1)}
    rows = [
        kept(name, "What?", 1.0 - at / 10, verdicts=None if one is None else ChainVerdicts((), *one))
        for at, (name, one) in enumerate(said.items())
    ]
    fill(empty, *rows).drop_duplicates()
    assert names(empty) == ["c"]


def test_what_nobody_reviewed_goes_before_what_is_rejected(empty: Selection) -> None:
    rejected = kept("a", "What?", 1.0, verdicts=ChainVerdicts((), 0, 1))
    disputed = kept("b", "What?", 0.9, verdicts=ChainVerdicts((), 1, 1))
    fill(empty, rejected, kept("c", "What?", 0.1), disputed).drop_duplicates()
    assert names(empty) == ["b"], "one for and one against is no rejection"


def test_reasons_are_counted_the_most_frequent_first_and_rows_stay_in_their_order(empty: Selection) -> None:
    for name, reason in (("a", "rounds"), ("b", "outcome"), ("c", "leaks"), ("d", "leaks"), ("e", "outcome")):
        empty.drop_row(Dropped("run", name, reason, "why"))
    assert list(empty.count_reasons().items()) == [("outcome", 2), ("leaks", 2), ("rounds", 1)]
    assert [one["id"] for one in empty.iter_dropped("leaks")] == ["c", "d"]
    assert (empty.count_dropped("run"), empty.count_kept("run")) == (5, 0)


def test_long_samples_go_and_the_others_tell_their_tokens(empty: Selection) -> None:
    for number, tokens in enumerate((40, 10, 41, 13)):
        empty.keep_row(number, kept(f"c{number}"), tokens)
    empty.drop_long(40)
    assert list(empty.iter_dropped("length")) == [{"id": "c2", "run": "run", "detail": "41 tokens, at most 40"}]
    assert empty.summarise_tokens() == {"min": 10, "median": 13, "max": 40}
    empty.drop_long(20)
    assert empty.summarise_tokens()["median"] == 12  # of 10 and 13, the even one of both whole numbers that are as near


def test_two_samples_of_one_id_are_refused(empty: Selection) -> None:
    runs = {name: Run(name, Path(name), "", {}, "", True, ()) for name in "ab"}
    fill(empty, kept("x", run=runs["a"]), kept("x", run=runs["b"]), kept("x@b", run=runs["a"])).name_samples()
    assert names(empty) == ["x@a", "x@b", "x@b"]
    with pytest.raises(RefusedRun, match="the id x@b"):
        empty.check_names()


@given(st.lists(st.tuples(few, st.lists(few, max_size=3)), max_size=12))
def test_samples_of_a_patient_or_with_a_picture_in_common_are_one_patients(
    samples: list[tuple[str, list[str]]],
) -> None:
    with closing(sqlite3.connect(":memory:")) as table:
        selection = Selection(table)
        fill(selection, *(kept(str(at), patient=one, shown=shown) for at, (one, shown) in enumerate(samples)))
        selection.unite_patients()
        found = [name for (name,) in table.execute("SELECT patient FROM kept ORDER BY number")]
    for one, (patient, digests) in zip(found, samples, strict=True):
        for other, (other_patient, other_digests) in zip(found, samples, strict=True):
            if patient == other_patient or set(digests) & set(other_digests):
                assert one == other
    assert set(found) <= {patient for patient, _ in samples}


def test_strangers_stay_strangers(empty: Selection) -> None:
    rows = [kept("1", patient="b", shown="x"), kept("2", patient="a", shown="x"), kept("3", patient="c", shown="y")]
    fill(empty, *rows, kept("4", patient="d")).unite_patients()
    assert [empty.count_patients(validates) for validates in (False, True)] == [3, 0]


@pytest.mark.parametrize("of_a_patient", [1, 3])
def test_a_split_marks_the_samples_of_whole_patients(empty: Selection, of_a_patient: int) -> None:
    fill(empty, *(kept(f"s{number}", patient=f"p{number // of_a_patient}") for number in range(300)))
    empty.split(0.1, 0)
    sides = [{int(name[1:]) // of_a_patient for name in names(empty, validates)} for validates in (False, True)]
    assert not sides[0] & sides[1]
    assert abs(empty.count_side(True) - 30) <= of_a_patient
    assert [empty.count_patients(validates) for validates in (False, True)] == list(map(len, sides))


def test_the_table_is_gone_with_its_file_when_the_block_ends(tmp_path: Path) -> None:
    with open_table(tmp_path / "rows.sqlite") as table:
        fill(Selection(table), kept("a"))
        assert (tmp_path / "rows.sqlite").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError, match="no such table"), open_table(tmp_path / "rows.sqlite") as table:
        table.execute("SELECT * FROM absent")
    assert not list(tmp_path.iterdir())


def test_each_seed_draws_patients_of_its_own() -> None:
    chosen = set()
    for seed in range(4):
        with closing(sqlite3.connect(":memory:")) as table:
            selection = fill(Selection(table), *(kept(f"s{number:03}") for number in range(200)))
            selection.split(0.1, seed)
            chosen.add(tuple(names(selection, validates=True)))
    assert len(chosen) == 4
