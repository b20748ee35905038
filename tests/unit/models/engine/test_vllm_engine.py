"""The parts of the engine module that need no vLLM. The engine itself is tested in ``tests/cluster``."""

import subprocess
import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from mics_ray.config.schema import InternDefaults
from mics_ray.models.engine import vllm_engine
from mics_ray.models.engine.conversation import PLACE, build_conversation
from mics_ray.models.engine.vllm_engine import (
    VllmEngine,
    check_picture_places,
    choose_sampling_params,
    choose_template_settings,
    limit_new_tokens,
)
from mics_ray.models.types import LostCall, Request, encode_choice, encode_options


@dataclass
class Place:
    """vLLM's PlaceholderRange, as far as it is read."""

    offset: int
    length: int
    is_embed: list[bool] | None = None


def request(system: str = "") -> Request:
    return Request("tiny", "m", "", system, "What is it?", "d1", 0.3, 16, 1)


def test_importing_the_module_loads_neither_vllm_nor_torch() -> None:
    code = "import sys, mics_ray.models.engine.vllm_engine; print({'vllm', 'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


async def test_a_missing_library_of_the_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(vllm_engine, "is_cpu_build", lambda: True)
    monkeypatch.setattr("ctypes.CDLL", missing)
    with pytest.raises(OSError, match="apt-get install libnuma1"):
        await vllm_engine.VllmEngine.start(InternDefaults(model="m"), on_gpu=False)


def test_pictures_come_in_order_before_the_text_each_with_its_own_uuid() -> None:
    system, user = build_conversation(request(system="Be brief."), ["first", "second"])
    assert system == {"role": "system", "content": "Be brief."}
    assert [part.get("image_pil", part.get("text")) for part in user["content"]] == ["first", "second", "What is it?"]
    assert [part.get("uuid") for part in user["content"]] == ["d1-0", "d1-1", None]


@pytest.mark.parametrize("places", [0, 1, 3])
def test_places_in_the_text_that_are_not_as_many_as_pictures_lose_the_call(places: int) -> None:
    asked = replace(request(), text=f"a{PLACE * places}b", options='{"inline":true}')
    with pytest.raises(LostCall, match=f"2 pictures, {places} places in the text"):
        build_conversation(asked, ["first", "second"])


def test_a_sign_in_the_text_is_no_place_unless_the_request_says_so() -> None:
    (turn,) = build_conversation(replace(request(), text=f"a{PLACE}b"), ["first"])
    assert [part.get("text") for part in turn["content"]] == [None, f"a{PLACE}b"]


def test_an_empty_system_prompt_is_no_message() -> None:
    assert [message["role"] for message in build_conversation(request(), [])] == ["user"]


def test_a_reply_held_to_a_choice_is_asked_for_without_thoughts() -> None:
    held = replace(request(), options=encode_choice(("Yes", "No")))
    other = replace(request(), options='{"extra_body":{"top_p":0.9}}')
    assert choose_template_settings(held) == choose_template_settings(other) | {"enable_thinking": False}
    assert choose_template_settings(request()) == choose_template_settings(other)


@pytest.mark.parametrize(
    ("told", "of_model", "used"),
    [
        (None, {"top_k": 1, "top_p": 0.001}, {}),
        ({"top_p": 0.9, "top_k": 5}, {"top_k": 1, "repetition_penalty": 1.05}, {"top_p": 0.9, "top_k": 5}),
        # Qwen2.5-VL-7B's file, as vLLM reads it, and InternVL3's, which says nothing of sampling.
        (
            "model",
            {"repetition_penalty": 1.05, "temperature": 0.1, "top_k": 1, "top_p": 0.001, "max_tokens": 9},
            {"top_p": 0.001, "top_k": 1, "repetition_penalty": 1.05},
        ),
        ("model", {}, {"top_k": 50}),
        ("model", {"top_k": 0, "min_p": 0.1}, {"top_k": 0, "min_p": 0.1}),
    ],
)
def test_tokens_are_drawn_as_the_request_says_or_as_the_model_does(told: Any, of_model: Any, used: Any) -> None:
    assert choose_sampling_params(encode_options(sampling=told), of_model) == used


def test_the_prefix_cache_is_counted_in_tokens() -> None:
    cache = SimpleNamespace(num_gpu_blocks=276, block_size=16)
    assert VllmEngine(SimpleNamespace(vllm_config=SimpleNamespace(cache_config=cache))).cache_tokens == 4416


def test_generation_is_cut_to_the_room_that_is_left() -> None:
    assert limit_new_tokens(10, 16, 100) == 16
    assert limit_new_tokens(90, 16, 100) == 10
    assert limit_new_tokens(99, 16, 100) == 1


@pytest.mark.parametrize("tokens", [100, 101])
def test_no_room_is_a_lost_call(tokens: int) -> None:
    with pytest.raises(LostCall) as lost:
        limit_new_tokens(tokens, 16, 100)
    assert lost.value.failure.kind == "too_long"


def prompt(ids: list[int], *places: Place) -> dict[str, object]:
    return {"prompt_token_ids": ids, "mm_placeholders": {"image": list(places)}}


def refused(rendered: dict[str, object], sent: int) -> str:
    """The kind of the lost call; empty where the prompt may go to the engine."""
    try:
        check_picture_places(rendered, sent)
    except LostCall as lost:
        return lost.failure.kind
    return ""


def test_one_place_for_each_picture_passes_and_one_picture_more_or_fewer_does_not() -> None:
    two = prompt([1, 7, 7, 2, 7, 7, 3], Place(1, 2), Place(4, 2))
    assert [refused(two, sent) for sent in (1, 2, 3)] == ["pictures", "", "pictures"]
    assert [refused({"prompt_token_ids": [1, 2, 3]}, sent) for sent in (0, 1)] == ["", "pictures"]


def test_tokens_around_the_picture_may_come_again_and_those_of_the_picture_may_not() -> None:
    place = Place(0, 4, [False, True, True, False])
    assert [refused(prompt([5, 7, 7, 6, *more], place), 1) for more in ((5, 6), (5, 7))] == ["", "pictures"]


@pytest.mark.parametrize(
    ("rendered", "sent"),
    [
        (prompt([1, 7, 7, 2], Place(1, 2)), 2),
        (prompt([1, 7, 7, 2, 7, 7], Place(1, 2), Place(4, 2)), 1),
        (prompt([1, 7, 7, 2, 7], Place(1, 2)), 1),
        ({"prompt_token_ids": [1, 2]}, 1),
    ],
    ids=["too few", "too many", "stray token", "none"],
)
def test_any_other_count_is_a_lost_call(rendered: dict[str, object], sent: int) -> None:
    assert refused(rendered, sent) == "pictures"
