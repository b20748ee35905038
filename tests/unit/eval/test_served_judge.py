"""A re-judgement's judge on vLLM: its replies are kept, its death ends the job, one that does not load refuses it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eval.rejudge.served_judge import ServedJudge
from mics_ray.assemble.locations import resolve_embedded
from mics_ray.config.schema import Engine, ModelConfig
from mics_ray.errors import EXIT_STOPPED, RefusedRun, find_exit_code
from mics_ray.models.engine.vllm_engine import EngineDead, VllmEngine
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Pictures, Refused, Reply, Request, encode_choice

CONFIG = ModelConfig("embedded:interns/internvl", Engine.vllm)


def asked(text: str) -> Request:
    return Request("judge", CONFIG.model, "", "", text, "", 0.0, 16, 1, encode_choice(("Yes", "No")))


class StubEngine:
    """Stands in for the engine: says Yes, or dies."""

    def __init__(self, dies: bool = False) -> None:
        self.dies, self.requests, self.stopped = dies, list[Request](), False

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        self.requests.append(request)
        if self.dies:
            raise EngineDead
        return Reply("Yes", "stop", 100, 3)

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[ReplyStore]:
    store = ReplyStore(tmp_path, "rejudge-x")
    yield store
    await store.close()


async def start(monkeypatch: pytest.MonkeyPatch, cache: ReplyStore, engine: StubEngine) -> ServedJudge:
    loaded: list[ModelConfig] = []

    async def load(config: ModelConfig, on_gpu: bool) -> StubEngine:
        loaded.append(config)
        return engine

    monkeypatch.setattr(VllmEngine, "start", load)
    judge = await ServedJudge.start(CONFIG, cache)
    assert loaded[0].model == resolve_embedded(CONFIG.model) != CONFIG.model
    return judge


async def test_what_was_said_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, cache: ReplyStore) -> None:
    engine = StubEngine()
    judge = await start(monkeypatch, cache, engine)
    replies = [await judge.complete(asked(text), None) for text in ("a", "b", "a")]
    assert [(reply.text, reply.cached) for reply in replies] == [("Yes", False), ("Yes", False), ("Yes", True)]
    assert [request.text for request in engine.requests] == ["a", "b"]
    await judge.drain_calls()
    assert engine.stopped


async def test_a_dead_engine_ends_the_job(monkeypatch: pytest.MonkeyPatch, cache: ReplyStore) -> None:
    judge = await start(monkeypatch, cache, StubEngine(dies=True))
    with pytest.raises(Refused) as ended:
        await judge.complete(asked("a"), None)
    assert find_exit_code(ended.value.failure.kind) == EXIT_STOPPED


async def test_one_that_does_not_load_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch, cache: ReplyStore) -> None:
    async def fail(config: ModelConfig, on_gpu: bool) -> StubEngine:
        raise OSError("no such weights")

    monkeypatch.setattr(VllmEngine, "start", fail)
    with pytest.raises(RefusedRun, match=r"judge: vLLM could not load .*internvl \(OSError\)"):
        await ServedJudge.start(CONFIG, cache)
