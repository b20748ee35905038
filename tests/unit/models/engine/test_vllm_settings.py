"""What an engine is started with: arguments and environment."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from mics_ray.config.schema import InternDefaults, ModelConfig
from mics_ray.models.engine.vllm_settings import engine_args, engine_environment, wait_for_gpu_turn

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_cpu_settings_yield_to_the_users_own() -> None:
    args = engine_args(InternDefaults(model="m", engine_kwargs={"block_size": 64, "max_num_seqs": 8}), on_gpu=False)
    assert args["dtype"] == "float32"
    assert args["enable_chunked_prefill"] is False
    assert (args["block_size"], args["max_num_seqs"]) == (64, 8)


def test_gpus_get_vllms_own_settings() -> None:
    args = engine_args(InternDefaults(model="m"), on_gpu=True)
    assert {"dtype", "enforce_eager", "block_size", "kv_cache_memory_bytes"}.isdisjoint(args)
    assert "distributed_executor_backend" not in args


def test_tensor_parallel_stays_inside_the_actor() -> None:
    args = engine_args(InternDefaults(model="m", tensor_parallel=2), on_gpu=True)
    assert (args["tensor_parallel_size"], args["distributed_executor_backend"]) == (2, "mp")


def test_a_pipelines_workers_take_the_placement_group() -> None:
    args = engine_args(InternDefaults(model="m", tensor_parallel=2, pipeline_parallel=3), on_gpu=True)
    assert (args["pipeline_parallel_size"], args["distributed_executor_backend"]) == (3, "ray")


def test_a_share_of_a_gpu_is_a_share_of_its_memory() -> None:
    assert engine_args(InternDefaults(model="m", gpus=0.25), on_gpu=True)["gpu_memory_utilization"] == 0.225
    assert "gpu_memory_utilization" not in engine_args(InternDefaults(model="m"), on_gpu=True)


def test_configuration_reaches_the_engine() -> None:
    config = InternDefaults(model="m", revision=COMMIT, max_model_len=4096, processor_kwargs={"max_pixels": 1003520})
    args = engine_args(config, on_gpu=True)
    assert args["mm_processor_kwargs"] == {"max_pixels": 1003520}
    assert (args["max_model_len"], args["revision"], args["load_format"]) == (4096, COMMIT, "safetensors")


@pytest.mark.parametrize("revision", [None, "main", COMMIT[:39], COMMIT.upper(), COMMIT + "0", COMMIT + "\n"])
def test_remote_code_needs_a_full_commit(revision: str | None) -> None:
    config = InternDefaults(model="m", revision=revision, trust_remote_code=True)
    with pytest.raises(ValueError, match="full commit"):
        engine_args(config, on_gpu=True)


def test_remote_code_is_pinned_too() -> None:
    args = engine_args(InternDefaults(model="m", revision=COMMIT, trust_remote_code=True), on_gpu=True)
    assert args["trust_remote_code"] is True
    assert args["code_revision"] == args["tokenizer_revision"] == COMMIT


@pytest.mark.parametrize("name", ["trust_remote_code", "load_format", "model", "revision", "tensor_parallel_size"])
def test_engine_kwargs_cannot_get_around_the_checked_fields(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        engine_args(InternDefaults(model="m", engine_kwargs={name: "pickle"}), on_gpu=True)


def test_environment_binds_threads_on_cpus_only() -> None:
    assert engine_environment(ModelConfig("m"), on_gpu=False)["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert "OMP_NUM_THREADS" not in engine_environment(ModelConfig("m"), on_gpu=True)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_nobody_is_told_and_a_folder_needs_no_hub(on_gpu: bool, tmp_path: Path) -> None:
    told = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    on_the_hub, here = ModelConfig("org/model"), ModelConfig(str(tmp_path))
    assert told.items() <= engine_environment(on_the_hub, on_gpu).items()
    assert "HF_HUB_OFFLINE" not in engine_environment(on_the_hub, on_gpu)
    assert engine_environment(here, on_gpu)["HF_HUB_OFFLINE"] == "1"


def test_only_an_engine_of_several_machines_listens_beyond_loopback() -> None:
    one, several = ModelConfig("m", tensor_parallel=4), ModelConfig("m", pipeline_parallel=2)
    assert engine_environment(one, on_gpu=True)["VLLM_HOST_IP"] == "127.0.0.1"
    assert "VLLM_HOST_IP" not in engine_environment(several, on_gpu=True)


@pytest.mark.parametrize(
    ("gpus", "on_gpu", "visible", "most"),
    [
        (0.4, True, "0", 1),
        (None, True, "0", 3),
        (0.4, False, "0", 3),
        (0.4, True, "MIG-5b3f9f4c-1f0e-5d1e-8d4e-0d6a2b1c9e77", 1),
        (0.4, True, "MIG-GPU-5b3f9f4c-1f0e-5d1e-8d4e-0d6a2b1c9e77/1/0", 1),
    ],
)
async def test_engines_that_share_a_gpu_start_one_after_another(
    gpus: float | None, on_gpu: bool, visible: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    starting, seen = 0, []

    async def start() -> None:
        nonlocal starting
        async with wait_for_gpu_turn(InternDefaults(model="m", gpus=gpus), on_gpu):
            starting += 1
            seen.append(starting)
            await asyncio.sleep(0.05)
            starting -= 1

    await asyncio.gather(start(), start(), start())
    assert max(seen) == most
    assert len(seen) == 3
