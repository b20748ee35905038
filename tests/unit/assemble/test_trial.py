"""The requests that engines answer before a run: of the cases that ask most of them, by the roles' own code."""

import pytest

from mics_ray.assemble import trial
from mics_ray.assemble.trial import EACH, build_trials, choose_largest
from mics_ray.config.schema import Config
from mics_ray.core.types import Case, Note
from mics_ray.io.cases import RecordPlace, Rejection
from mics_ray.io.scan import PlacedRecord
from tests.support.demo_config import compose_demo

PHANTOM = "images/phantom-{:03}.png"


@pytest.fixture(scope="module")
def config() -> Config:
    return compose_demo()


def placed(number: int, words: int = 1, pictures: int = 0, note: str = "") -> PlacedRecord:
    notes = (Note("Complaint", note),) if note else ()
    images = tuple(PHANTOM.format(one) for one in range(1, pictures + 1))
    return RecordPlace("cases.jsonl", "line", number), Case(f"c{number}", "word " * words, "gold", images, notes)


def test_the_cases_with_most_pictures_and_the_longest_texts_are_found(config: Config) -> None:
    records = [placed(number, words=number % 7, pictures=number % 3) for number in range(30)]
    records += [placed(30, words=900), placed(31, pictures=5), placed(32, words=2, note="pain " * 800)]
    rejected = Rejection(33, "c33", "no question", "", "", ())
    found = choose_largest(config, [*records, (RecordPlace("cases.jsonl", "line", 33), rejected)])
    ids = [case.id for _, case in found]
    assert ids[0] == "c31", "five pictures"
    assert {"c30", "c32"} <= set(ids), "a note that interns are told is text as well"
    assert len(ids) <= 2 * EACH


def test_of_as_many_pictures_the_longer_text_counts(config: Config) -> None:
    found = choose_largest(config, [placed(0, 5, 2), placed(1, 9, 2), placed(2, 1, 2), placed(3, 7, 2)])
    assert [case.id for _, case in found] == ["c1", "c3"]


def test_frames_that_a_path_names_are_pictures(config: Config) -> None:
    volume = RecordPlace("cases.jsonl", "line", 9), Case("ct", "?", "gold", ("ct.dcm#10-40:5",))
    found = choose_largest(config, [placed(0, 9, 6), volume, placed(1, 8, 5)])
    assert found[0][1].id == "ct"


def test_requests_are_those_of_a_search_for_each_model_that_is_served_here(config: Config) -> None:
    trials = build_trials(config, [placed(0, words=3, pictures=2)])
    assert [one.entry for one in trials] == list(config.interns)
    for one in trials:
        assert one.case_id == "c0"
        assert "word word word" in one.request.text
        assert one.pictures is not None
        assert one.request.pictures == one.pictures.digest
        assert one.describe_case() == "case c0, 2 pictures"
        assert one.request.max_tokens == 4


def test_what_cannot_be_shown_is_no_trial(config: Config) -> None:
    bad = RecordPlace("cases.jsonl", "line", 0), Case("bad", "?", "gold", ("images/nowhere.png",) * 9)
    trials = build_trials(config, [bad, placed(1)])
    assert {one.case_id for one in trials} == {"c1"}
    assert trials[0].describe_case() == "case c1, 0 pictures"


def test_of_a_large_input_the_beginning_is_looked_at(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LARGEST_AMONG", 10)
    records = iter([placed(number) for number in range(15)])
    build_trials(config, records)
    assert len(list(records)) == 5
