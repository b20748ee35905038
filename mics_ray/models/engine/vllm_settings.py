"""How an engine is set up, without vLLM itself: arguments, environment, needs of the system, its turn on a GPU."""

import asyncio
import ctypes
import fcntl
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

from mics_ray.config.schema import ModelConfig
from mics_ray.models.engine.adapter import find_served_rank
from mics_ray.models.engine.arguments import find_argument_problems

KV_CACHE_BYTES = 256 * 2**20
GPU_MEMORY_SHARE = 0.9
"""Of a GPU, or of a replica's share of one: what its engine may fill with weights and cache."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def engine_environment(config: ModelConfig, on_gpu: bool) -> dict[str, str]:
    """Environment variables that must stand before vLLM is imported; a value that is there already goes first.

    Nothing is told to vLLM's makers or to the hub, which is asked for weights alone, and not at all where the model is
    a folder. An engine on one machine talks to its own processes over loopback.
    """
    quiet = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    quiet |= {"HF_HUB_DISABLE_TELEMETRY": "1"} | ({"HF_HUB_OFFLINE": "1"} if os.path.isdir(config.model) else {})
    if config.pipeline_parallel == 1:
        # Left to itself vLLM listens on the address from which a route leads outside.
        quiet["VLLM_HOST_IP"] = "127.0.0.1"
    if on_gpu:
        return quiet
    threads = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    return quiet | threads | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


def is_cpu_build() -> bool:
    """Whether the vLLM that is installed runs on CPUs; then no replica asks for a GPU."""
    return any(dist.name == "vllm-cpu" for dist in metadata.distributions(name="vllm-cpu"))


def check_libraries() -> None:
    """Raise ``OSError`` where the system lacks a library of vLLM's CPU build.

    Without it vLLM leaves its kernels out without a word, and dies later of a missing name.
    """
    try:
        ctypes.CDLL("libnuma.so.1")
    except OSError:
        raise OSError("vLLM's CPU build needs libnuma.so.1; on Debian: apt-get install libnuma1") from None


def engine_args(config: ModelConfig, on_gpu: bool) -> dict[str, Any]:
    """vLLM's ``AsyncEngineArgs`` by name. Raises ValueError for a name that vLLM does not take, for code or weights
    that could run as code, and for an ``adapter`` that is none."""
    if problems := find_argument_problems(config):
        raise ValueError("; ".join(problems))
    if config.trust_remote_code and not _COMMIT.fullmatch(config.revision or ""):
        raise ValueError("trust_remote_code needs `revision` to be a full commit hash (40 hex digits)")
    own = {
        "model": config.model,
        "revision": config.revision,
        "code_revision": config.revision,
        "tokenizer_revision": config.revision,
        "tensor_parallel_size": config.tensor_parallel,
        "pipeline_parallel_size": config.pipeline_parallel,
        "max_model_len": config.max_model_len,
        "trust_remote_code": config.trust_remote_code,
        "mm_processor_kwargs": dict(config.processor_kwargs) or None,
        "load_format": "safetensors",
    }
    if config.adapter is not None:
        own |= {"enable_lora": True, "max_lora_rank": find_served_rank(config.adapter)}
    return _default_engine_args(config, on_gpu) | dict(config.engine_kwargs) | own


def _default_engine_args(config: ModelConfig, on_gpu: bool) -> dict[str, Any]:
    """Settings that ``engine_kwargs`` may replace; on GPUs vLLM's own are right."""
    common: dict[str, Any] = {"disable_log_stats": True, "enable_log_requests": False}
    if config.gpus is not None and on_gpu:
        common["gpu_memory_utilization"] = round(GPU_MEMORY_SHARE * config.gpus, 3)
    if config.pipeline_parallel > 1 and on_gpu:
        # Its workers take the bundles of the placement group that the actor was started in.
        common["distributed_executor_backend"] = "ray"
    elif config.tensor_parallel > 1 or config.pipeline_parallel > 1:
        # Inside a Ray actor vLLM may choose its Ray executor, which would ask for the actor's GPUs a second time.
        common["distributed_executor_backend"] = "mp"
    if on_gpu:
        return common
    return common | {
        "dtype": "float32",
        "enforce_eager": True,
        "kv_cache_memory_bytes": KV_CACHE_BYTES,
        # A block of 128 tokens, the default on CPUs, wastes most hits of the prefix cache.
        "block_size": 32,
        # vLLM 0.32 dies of a seeded request whose prompt is split ("CPU Generator does not use offset").
        "enable_chunked_prefill": False,
    }


@asynccontextmanager
async def wait_for_gpu_turn(config: ModelConfig, on_gpu: bool) -> AsyncIterator[None]:
    """While this lasts no other engine of this user starts on the same shared GPU.

    vLLM takes whatever fills up during its start for its own: of two that start at once the later has no room left.
    """
    if not on_gpu or config.gpus is None:
        yield
        return
    # A slice of a GPU may be named MIG-GPU-UUID/1/0.
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "").replace("/", "-")
    name = f"mics-ray-{os.getuid()}-gpu-{gpu}.lock"
    path = os.path.join(tempfile.gettempdir(), name)
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(held, fcntl.LOCK_UN)  # also where an engine's process has a copy of it
        os.close(held)
