"""One question to one model: what is checked before an engine loads."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from eval.ask import prepare_question
from eval.commands import compose_infer
from eval.config import InferJob
from mics_ray.config.compose import compose_job
from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.local.phantoms import write_cases
from mics_ray.models.engine.conversation import PLACE, build_conversation
from mics_ray.models.prompts import fill_intern_prompt
from mics_ray.models.types import decode_options


def job(*overrides: str, images: Sequence[str] = ()) -> InferJob:
    chosen = ["serve=tiny", "model=embedded:interns/internvl", "question='Which finding?'"]
    return compose_job("infer", InferJob, [*chosen, f"images=[{','.join(images)}]", *overrides])


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    write_cases(tmp_path / "here", 3, 5)
    monkeypatch.chdir(tmp_path / "here")
    return [f"{tmp_path}/here/images/phantom-001.png", "images/phantom-002.png", "../here/images/phantom-003.png"]


def test_the_question_is_asked_as_an_intern_is_asked() -> None:
    asked = prepare_question(job("temperature=0.5", "seed=4"))
    assert asked.request.text == fill_intern_prompt(job().prompts, Case("x", "Which finding?", ""), ())
    assert (asked.request.temperature, asked.request.seed, asked.request.max_tokens) == (0.5, 4, 192)
    assert asked.pictures is None
    assert asked.request.pictures == ""
    assert Path(asked.config.model).is_dir()


def test_pictures_come_in_order_from_anywhere(films: list[str]) -> None:
    asked = prepare_question(job(images=films))
    assert asked.pictures is not None
    assert asked.request.pictures == asked.pictures.digest
    one_by_one = [prepare_question(job(images=[film])).pictures for film in films]
    assert [one.files[0] for one in one_by_one if one] == list(asked.pictures.files)
    assert len(set(asked.pictures.files)) == 3


def test_one_picture_needs_no_list(films: list[str]) -> None:
    single = prepare_question(job(f"images={films[0]}")).pictures
    assert single == prepare_question(job(images=films[:1])).pictures


CHOICE = """Which sign fits a dural fistula (DAVF) best?
A) Early veins, without a nidus
B) "Popcorn" calcification: {a, b} = [c]
C) A shunt of 50 % \\ ${x}
D) None of these
Let's think step by step."""


def test_a_multiple_choice_question_without_pictures_is_asked_as_it_was_written() -> None:
    """In the form of the README of Chiron-o1: several lines, brackets, commas, an apostrophe; no picture anywhere."""
    words = ["serve=tiny", "model=embedded:interns/internvl", f"question={CHOICE}"]
    asked = prepare_question(compose_infer([*words, "temperature=1.0", "sampling={top_p: 0.9, top_k: 50}"], None))
    assert f"\n{CHOICE}\n" in asked.request.text
    assert "picture" not in asked.request.text.lower()
    assert (asked.request.temperature, asked.pictures) == (1.0, None)
    assert decode_options(asked.request.options) == {"sampling": {"top_p": 0.9, "top_k": 50}}


@pytest.mark.parametrize(
    ("given", "asked"),
    [("What is it?", "What is it?"), ("'What, then?'", "What, then?"), ('"a" or "b"?', '"a" or "b"?'), ("3", "3")],
)
def test_a_question_in_quotes_of_hydra_is_read_as_before(given: str, asked: str) -> None:
    assert compose_infer(["model=m", "question=x", f"question={given}"], None).question == asked


def test_pictures_stand_where_the_question_has_them(films: list[str]) -> None:
    asked = prepare_question(
        job("question='See (Modality 1: <image>\n<image>) and (Modality 2: <IMAGE>).'", images=films)
    )
    (turn,) = build_conversation(asked.request, ["one", "two", "three"])
    assert "Look at the pictures" in turn["content"][0]["text"]
    assert [part.get("image_pil", part.get("text", "")[-30:]) for part in turn["content"]][1:-1] == [
        "one", "\n", "two", ") and (Modality 2: ", "three",
    ]  # fmt: skip
    (turn,) = build_conversation(asked.request, ["one", "two", "three"], "<image>")
    assert [part["type"] for part in turn["content"]] == ["image_pil"] * 3 + ["text"]
    assert "See (Modality 1: <image>\n<image>) and (Modality 2: <image>)." in turn["content"][-1]["text"]


def test_a_place_of_the_questions_own_is_none(films: list[str]) -> None:
    asked = prepare_question(job(f"question='Odd {PLACE} sign (<image>)'", images=films[:1]))
    assert asked.request.text.count(PLACE) == 1
    assert asked.request.text.index(PLACE) > asked.request.text.index("sign")


def test_places_and_pictures_that_are_not_as_many_are_refused(films: list[str]) -> None:
    with pytest.raises(RefusedRun, match=r"2 <image> in it, but 3 picture\(s\)"):
        prepare_question(job("question='<image> or <image>?'", images=films))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["images=[no-such.png]"], "images: picture 'no-such.png': no such file"),
        (["images=[/no/folder/a.png]"], "no such file in /no/folder"),
        (["model=/no/model"], "/no/model: no such folder"),
        (["question='  '"], "question is empty: give question=…"),
        (["serve.adapter=/no/adapter"], "/no/adapter: no LoRA adapter"),
        (["serve.engine=endpoint"], "serve.engine"),
        (["serve.temperature=0.5"], "serve.temperature: the question's is `temperature`"),
        (["serve.sampling=model"], "serve.sampling: the question's is `sampling`"),
        (["temperature=-0.1"], "temperature: -0.1 is not a number from 0 on"),
        (["temperature=nan"], "temperature: nan is not a number"),
        (["serve.max_tokens=0"], "serve.max_tokens: 0 is below 1"),
        (["sampling={top_q: 0.9}"], "sampling: unknown name 'top_q'; did you mean 'top_p'?"),
        (["question='(Modality 1: <image>)'"], "question: 1 <image> in it, but 0 picture(s) in images"),
        (["+serve.engine_kwargs.model=x"], "engine_kwargs: model cannot be set here"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(overrides: list[str], words: str) -> None:
    with pytest.raises(RefusedRun) as refused:
        prepare_question(job(*overrides))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
