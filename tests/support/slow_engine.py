"""A stand-in for vLLM that answers one request after another, each after a while, and says which process it is."""

import asyncio
import os
from pathlib import Path

from mics_ray.config.schema import ModelConfig
from mics_ray.models.types import Failure, LostCall, Pictures, Reply, Request

SECONDS = 0.05


class SlowEngine:
    """See :class:`mics_ray.runtime.serving.replica.ReplicaEngine`."""

    prompt_tokens = prefix_hits = 0

    def __init__(self) -> None:
        self.turn = asyncio.Lock()

    @classmethod
    async def start(cls, config: ModelConfig, on_gpu: bool) -> "SlowEngine":
        return cls()

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        async with self.turn:
            await asyncio.sleep(SECONDS)
        return Reply(f"{request.text} by {os.getpid()}\n\n### The final answer is: {request.seed}")

    async def probe(self) -> None:
        return None


class DeadlyEngine(SlowEngine):
    """Its process dies of a request that says ``poison``, as of a picture that runs it out of memory."""

    @classmethod
    async def start(cls, config: ModelConfig, on_gpu: bool) -> "DeadlyEngine":
        return cls()

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        if "poison" in request.text:
            os._exit(1)
        return await super().complete(request, pictures)


class SickEngine(SlowEngine):
    """Fails every request in its first process, as a GPU with a fault does; the file ``config.model`` says it was."""

    sick: bool

    @classmethod
    async def start(cls, config: ModelConfig, on_gpu: bool) -> "SickEngine":
        engine = cls()
        engine.sick = _first(Path(config.model))
        return engine

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        if self.sick:
            raise LostCall(Failure("engine", "CUDA error"))
        return await super().complete(request, pictures)


class OnceEngine(DeadlyEngine):
    """Starts once, as on a GPU that falls off its bus later; the file ``config.model`` says that it has."""

    @classmethod
    async def start(cls, config: ModelConfig, on_gpu: bool) -> "OnceEngine":
        if not _first(Path(config.model)):
            raise RuntimeError("No CUDA GPUs are available")
        return cls()


def _first(mark: Path) -> bool:
    """Whether nobody has left this file yet."""
    first = not mark.exists()
    mark.touch()
    return first
