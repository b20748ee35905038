"""The parts of the engine module that need no vLLM. The engine itself is tested in ``tests/cluster``."""

import asyncio
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from mics_ray.config import InternConfig
from mics_ray.models import vllm_engine
from mics_ray.models.gpu_turn import turn
from mics_ray.models.types import LostCall, Request
from mics_ray.models.vllm_engine import chat, check_pictures, engine_args, environment, room

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Place:
    """vLLM's PlaceholderRange, as far as it is read."""

    offset: int
    length: int
    is_embed: list[bool] | None = None


def request(system: str = "") -> Request:
    return Request("tiny", "m", "", system, "What is it?", "d1", 0.3, 16, 1)


def test_importing_the_module_loads_neither_vllm_nor_torch() -> None:
    code = "import sys, mics_ray.models.vllm_engine; print({'vllm', 'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


async def test_a_missing_library_of_the_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(vllm_engine, "cpu_build", lambda: True)
    monkeypatch.setattr("ctypes.CDLL", missing)
    with pytest.raises(OSError, match="apt-get install libnuma1"):
        await vllm_engine.VllmEngine.start(InternConfig(model="m"), on_gpu=False)


def test_cpu_settings_yield_to_the_users_own() -> None:
    args = engine_args(InternConfig(model="m", engine_kwargs={"block_size": 64, "max_num_seqs": 8}), on_gpu=False)
    assert args["dtype"] == "float32"
    assert args["enable_chunked_prefill"] is False
    assert (args["block_size"], args["max_num_seqs"]) == (64, 8)


def test_gpus_get_vllms_own_settings() -> None:
    args = engine_args(InternConfig(model="m"), on_gpu=True)
    assert {"dtype", "enforce_eager", "block_size", "kv_cache_memory_bytes"}.isdisjoint(args)
    assert "distributed_executor_backend" not in args


def test_tensor_parallel_stays_inside_the_actor() -> None:
    args = engine_args(InternConfig(model="m", tensor_parallel=2), on_gpu=True)
    assert (args["tensor_parallel_size"], args["distributed_executor_backend"]) == (2, "mp")


def test_a_pipelines_workers_take_the_placement_group() -> None:
    args = engine_args(InternConfig(model="m", tensor_parallel=2, pipeline_parallel=3), on_gpu=True)
    assert (args["pipeline_parallel_size"], args["distributed_executor_backend"]) == (3, "ray")


def test_a_share_of_a_gpu_is_a_share_of_its_memory() -> None:
    assert engine_args(InternConfig(model="m", gpus=0.25), on_gpu=True)["gpu_memory_utilization"] == 0.225
    assert "gpu_memory_utilization" not in engine_args(InternConfig(model="m"), on_gpu=True)


@pytest.mark.parametrize(("gpus", "on_gpu", "most"), [(0.4, True, 1), (None, True, 3), (0.4, False, 3)])
async def test_engines_that_share_a_gpu_start_one_after_another(
    gpus: float | None, on_gpu: bool, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    starting, seen = 0, []

    async def start() -> None:
        nonlocal starting
        async with turn(InternConfig(model="m", gpus=gpus), on_gpu):
            starting += 1
            seen.append(starting)
            await asyncio.sleep(0.05)
            starting -= 1

    await asyncio.gather(start(), start(), start())
    assert max(seen) == most
    assert len(seen) == 3


def test_configuration_reaches_the_engine() -> None:
    config = InternConfig(model="m", revision=COMMIT, max_model_len=4096, processor_kwargs={"max_pixels": 1003520})
    args = engine_args(config, on_gpu=True)
    assert args["mm_processor_kwargs"] == {"max_pixels": 1003520}
    assert (args["max_model_len"], args["revision"], args["load_format"]) == (4096, COMMIT, "safetensors")


@pytest.mark.parametrize("revision", [None, "main", COMMIT[:39], COMMIT.upper(), COMMIT + "0", COMMIT + "\n"])
def test_remote_code_needs_a_full_commit(revision: str | None) -> None:
    config = InternConfig(model="m", revision=revision, trust_remote_code=True)
    with pytest.raises(ValueError, match="full commit"):
        engine_args(config, on_gpu=True)


def test_remote_code_is_pinned_too() -> None:
    args = engine_args(InternConfig(model="m", revision=COMMIT, trust_remote_code=True), on_gpu=True)
    assert args["trust_remote_code"] is True
    assert args["code_revision"] == args["tokenizer_revision"] == COMMIT


@pytest.mark.parametrize("name", ["trust_remote_code", "load_format", "model", "revision", "tensor_parallel_size"])
def test_engine_kwargs_cannot_get_around_the_checked_fields(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        engine_args(InternConfig(model="m", engine_kwargs={name: "pickle"}), on_gpu=True)


def test_environment_binds_threads_on_cpus_only() -> None:
    assert environment(on_gpu=False)["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert "OMP_NUM_THREADS" not in environment(on_gpu=True)


def test_pictures_come_in_order_before_the_text_each_with_its_own_uuid() -> None:
    system, user = chat(request(system="Be brief."), ["first", "second"])
    assert system == {"role": "system", "content": "Be brief."}
    assert [part.get("image_pil", part.get("text")) for part in user["content"]] == ["first", "second", "What is it?"]
    assert [part.get("uuid") for part in user["content"]] == ["d1-0", "d1-1", None]


def test_an_empty_system_prompt_is_no_message() -> None:
    assert [message["role"] for message in chat(request(), [])] == ["user"]


def test_generation_is_cut_to_the_room_that_is_left() -> None:
    assert room(10, 16, 100) == 16
    assert room(90, 16, 100) == 10
    assert room(99, 16, 100) == 1


@pytest.mark.parametrize("tokens", [100, 101])
def test_no_room_is_a_lost_call(tokens: int) -> None:
    with pytest.raises(LostCall) as lost:
        room(tokens, 16, 100)
    assert lost.value.failure.kind == "too_long"


def prompt(ids: list[int], *places: Place) -> dict[str, object]:
    return {"prompt_token_ids": ids, "mm_placeholders": {"image": list(places)}}


def test_one_place_for_each_picture_passes() -> None:
    check_pictures(prompt([1, 7, 7, 2, 7, 7, 3], Place(1, 2), Place(4, 2)), 2)
    check_pictures({"prompt_token_ids": [1, 2, 3]}, 0)


def test_tokens_around_the_picture_may_come_again() -> None:
    check_pictures(prompt([5, 7, 7, 6, 5, 6], Place(0, 4, [False, True, True, False])), 1)


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
    with pytest.raises(LostCall) as lost:
        check_pictures(rendered, sent)
    assert lost.value.failure.kind == "pictures"
