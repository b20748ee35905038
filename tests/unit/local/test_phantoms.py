"""The phantom cases: the input form, no answer given away, pictures that differ by finding, and the embedded set."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mics_ray.local
from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantom_drawing import draw_phantom
from mics_ray.local.phantoms import DEFAULT_COUNT, DEFAULT_SEED, HELD_OUT_QUESTIONS, make_cases, write_cases

EMBEDDED = Path(mics_ray.local.__file__).parent / "cases"
ANSWER_MARK = "**Correct Answer:** "


def mean_film(finding: int, count: int = 40) -> np.ndarray:
    films = [
        np.asarray(draw_phantom(finding, np.random.default_rng([3, finding, k])), dtype=float) for k in range(count)
    ]
    return np.mean(films, axis=0)


@pytest.mark.parametrize("finding", range(len(FINDINGS)))
def test_a_film_is_small_grey_and_the_same_for_the_same_generator(finding: int) -> None:
    one, two, other = (draw_phantom(finding, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one.size, one.mode) == ((56, 56), "L")
    assert one.tobytes() == two.tobytes() != other.tobytes()


def test_films_of_different_findings_differ_by_more_than_their_anatomy() -> None:
    means = [mean_film(finding) for finding in range(len(FINDINGS))]
    again = mean_film(0, 41)
    for one in range(len(FINDINGS)):
        for two in range(one):
            strongest = np.sort(np.abs(means[one] - means[two]).ravel())[-30:].mean()
            assert strongest > 3 * np.sort(np.abs(means[0] - again).ravel())[-30:].mean()


def test_cases_are_deterministic_even_and_unique() -> None:
    cases = make_cases(32, seed=5)
    assert cases == make_cases(32, seed=5) != make_cases(32, seed=6)
    assert len({case["rid"] for case in cases}) == 32
    answers = [case["messages"][1]["content"].removeprefix(ANSWER_MARK) for case in cases]
    assert sorted(answers) == sorted(4 * [finding.answer for finding in FINDINGS])
    assert answers[:8] != [finding.answer for finding in FINDINGS]


def test_a_case_has_the_input_form_and_gives_nothing_away() -> None:
    for case in make_cases(200, seed=9):
        user, assistant = case["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert user["content"].startswith("**Question:** ")
        answer = assistant["content"].removeprefix(ANSWER_MARK)
        finding = next(item for item in FINDINGS if item.answer == answer)
        shown = [user["content"], case["title"], case["presentation"], *case["caption"]]
        for name in (finding.answer, *finding.synonyms):
            assert all(name.casefold() not in text.casefold() for text in shown)
        evidence = [sentence for sentence in finding.evidence if sentence.casefold() in case["caption"][0].casefold()]
        assert len(evidence) == 1


def test_questions_and_captions_vary() -> None:
    cases = make_cases(64, seed=9)
    assert len({case["messages"][0]["content"] for case in cases}) > 40
    assert 5 < sum(case["caption"][0].startswith("According to the <image>\n, ") for case in cases) < 64


def test_written_cases_name_their_pictures(tmp_path: Path) -> None:
    write_cases(tmp_path, count=8, seed=4)
    cases = [json.loads(line) for line in (tmp_path / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    assert cases == make_cases(8, seed=4)
    assert {name for case in cases for name in case["images"]} == {
        str(path.relative_to(tmp_path)) for path in tmp_path.glob("images/*")
    }


def test_the_embedded_cases_are_what_the_generator_writes(tmp_path: Path) -> None:
    write_cases(tmp_path, DEFAULT_COUNT, DEFAULT_SEED)
    assert (EMBEDDED / "cases.jsonl").read_bytes() == (tmp_path / "cases.jsonl").read_bytes()
    for path in sorted((tmp_path / "images").iterdir()):
        embedded = Image.open(io.BytesIO((EMBEDDED / "images" / path.name).read_bytes()))
        difference = np.asarray(embedded, dtype=int) - np.asarray(Image.open(path), dtype=int)
        assert np.abs(difference).mean() < 1, path.name


def test_held_out_cases_ask_the_same_in_other_words() -> None:
    known, held_out = make_cases(100, seed=4), make_cases(100, seed=4, wordings=HELD_OUT_QUESTIONS)
    asked = [{case["messages"][0]["content"] for case in cases} for cases in (known, held_out)]
    assert not asked[0] & asked[1]
    assert [case["messages"][1] for case in held_out] == [case["messages"][1] for case in known]
