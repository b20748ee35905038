"""Engines that share a GPU start one after another."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mics_ray.config.schema import ModelConfig


@asynccontextmanager
async def wait_for_gpu_turn(config: ModelConfig, on_gpu: bool) -> AsyncIterator[None]:
    """While this lasts no other engine of this user starts on the same shared GPU.

    vLLM takes whatever fills up during its start for its own: of two that start at once the later has no room left.
    """
    if not on_gpu or config.gpus is None:
        yield
        return
    name = f"mics-ray-{os.getuid()}-gpu-{os.environ.get('CUDA_VISIBLE_DEVICES', '')}.lock"
    path = os.path.join(tempfile.gettempdir(), name)
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(held, fcntl.LOCK_UN)  # also where an engine's process has a copy of it
        os.close(held)
