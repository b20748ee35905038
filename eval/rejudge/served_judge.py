"""A judge that vLLM serves, for a re-judgement: one engine in this process, without Ray."""

from dataclasses import replace

from mics_ray.assemble.locations import JUDGE, resolve_embedded
from mics_ray.config.schema import ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.vllm_engine import EngineDead, VllmEngine
from mics_ray.models.engine.vllm_settings import is_cpu_build
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Failure, Pictures, Refused, Reply, Request


class ServedJudge:
    """A :class:`~mics_ray.models.types.Model` whose replies are kept as paid ones are."""

    def __init__(self, engine: VllmEngine, cache: ReplyStore) -> None:
        self._engine, self._cache = engine, cache

    @classmethod
    async def start(cls, config: ModelConfig, cache: ReplyStore) -> "ServedJudge":
        """Load the model (seconds to minutes). Raises :class:`RefusedRun`."""
        config = replace(config, model=resolve_embedded(config.model))
        try:
            return cls(await VllmEngine.start(config, on_gpu=not is_cpu_build()), cache)
        except (ValueError, RuntimeError, OSError) as error:
            raise RefusedRun(f"judge: vLLM could not load {config.model} ({type(error).__name__}), see above") from None

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """The kept reply, or one from the engine. Raises :class:`Refused` where the engine has died."""
        if (kept := self._cache.find_reply(request.key)) is not None:
            return kept
        try:
            reply = await self._engine.complete(request, pictures)
        except EngineDead:
            raise Refused(Failure("outage", "the judge's engine died"), JUDGE) from None
        await self._cache.store_reply(request.key, request.model, reply)
        return reply

    async def drain_calls(self) -> None:
        """End the engine; what it was asked and has not answered costs nothing."""
        self._engine.stop()
