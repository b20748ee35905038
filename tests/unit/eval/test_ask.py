"""One question to one model: what is checked before an engine loads."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from eval.ask import prepare_question
from eval.config import InferJob
from mics_ray.config.compose import compose_job
from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.local.phantoms import write_cases
from mics_ray.models.prompts import fill_intern_prompt


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


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["images=[no-such.png]"], "images: picture 'no-such.png': no such file"),
        (["images=[/no/folder/a.png]"], "no such file in /no/folder"),
        (["model=/no/model"], "/no/model: no such folder"),
        (["question='  '"], "question: empty"),
        (["serve.adapter=/no/adapter"], "/no/adapter: no LoRA adapter"),
        (["serve.engine=endpoint"], "serve.engine"),
        (["serve.temperature=0.5"], "serve.temperature: the question's is `temperature`"),
        (["+serve.engine_kwargs.model=x"], "engine_kwargs: model cannot be set here"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(overrides: list[str], words: str) -> None:
    with pytest.raises(RefusedRun) as refused:
        prepare_question(job(*overrides))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
