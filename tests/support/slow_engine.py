"""A stand-in for vLLM that answers one request after another, each after a while, and says which process it is."""

import asyncio
import os

from mics_ray.config import InternConfig
from mics_ray.models.types import Pictures, Reply, Request

SECONDS = 0.05


class SlowEngine:
    """See :class:`mics_ray.runtime.replica.InternEngine`."""

    prompt_tokens = prefix_hits = 0

    def __init__(self) -> None:
        self.turn = asyncio.Lock()

    @classmethod
    async def start(cls, config: InternConfig, on_gpu: bool) -> "SlowEngine":
        return cls()

    async def ask(self, request: Request, pictures: Pictures | None) -> Reply:
        async with self.turn:
            await asyncio.sleep(SECONDS)
        return Reply(f"{request.text} by {os.getpid()}\n\n### The final answer is: {request.seed}")

    async def probe(self) -> None:
        return None


class DeadlyEngine(SlowEngine):
    """Its process dies of a request that says ``poison``, as of a picture that runs it out of memory."""

    @classmethod
    async def start(cls, config: InternConfig, on_gpu: bool) -> "DeadlyEngine":
        return cls()

    async def ask(self, request: Request, pictures: Pictures | None) -> Reply:
        if "poison" in request.text:
            os._exit(1)
        return await super().ask(request, pictures)
