"""Both tiny interns on real vLLM in Ray actors on this machine."""

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from mics_ray.config.schema import Config, InternDefaults, ModelConfig
from mics_ray.core.seeds import derive_seed
from mics_ray.errors import RefusedRun
from mics_ray.models.types import LostCall, Pictures, Reply, Request
from mics_ray.runtime.serving.model_actors import connect_routers, start_replicas
from mics_ray.runtime.serving.picture_refs import PictureRefs
from mics_ray.runtime.serving.replica import ReplicaFacts
from mics_ray.runtime.serving.router import Router

from .conftest import CANARY, KEY_VARIABLES, TINY

pytestmark = pytest.mark.cluster

PROMPT = "Which finding does the radiograph show?\n\n### Step 1: Look at both lungs and the outline of the heart."
INTERNS = sorted(TINY)


def phantoms(numbers: Iterable[int]) -> Pictures:
    folder = resources.files("mics_ray.local") / "cases" / "images"
    files = tuple((folder / f"phantom-{number:03}.png").read_bytes() for number in numbers)
    return Pictures(hashlib.sha256(b"".join(files)).hexdigest(), files)


def request(pictures: Pictures | None, *fresh: str | int, text: str = PROMPT, temperature: float = 1.2) -> Request:
    """A request; ``fresh`` goes into the seed, so that no other test's cached reply can answer it."""
    digest = pictures.digest if pictures else ""
    return Request("tiny", "m", "", "", text, digest, temperature, 16, derive_seed(*fresh))


@pytest.fixture(params=INTERNS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def routers(replicas: dict[str, list[Any]]) -> dict[str, Router]:
    return connect_routers(replicas, PictureRefs())


async def uncached(handle: Any, asked: list[Request], pictures: Pictures | None) -> list[Reply]:
    """Replies of the engine itself, past the cache: the revision is part of the address and nothing to the engine."""
    salted = [replace(one, revision=f"{time.monotonic_ns()}-{number}") for number, one in enumerate(asked)]
    shown = [ray.put(pictures)] if pictures else []
    replies: list[Reply] = await handle.generate.remote(salted, shown)
    return replies


async def test_replies_say_what_they_cost(routers: dict[str, Router], name: str) -> None:
    pictures = phantoms([1])
    reply = await routers[name].route_request("case", request(pictures, "cost", name), pictures)
    assert reply.text
    assert reply.finish in ("stop", "length")
    assert 0 < reply.completion_tokens <= 16
    assert reply.prompt_tokens > 16
    assert not reply.cached


async def test_a_seed_gives_the_same_text_alone_and_in_a_crowd(replicas: dict[str, list[Any]], name: str) -> None:
    handle = replicas[name][0]
    pictures = phantoms([1])
    one = request(pictures, "seed", name)
    (alone,) = await uncached(handle, [one], pictures)
    crowd = await uncached(handle, [request(pictures, "seed", name, n) for n in range(20)] + [one], pictures)
    assert crowd[-1].text == alone.text
    assert len({reply.text for reply in crowd}) > 1, "other seeds draw other texts"


async def test_temperature_zero_ignores_the_seed(replicas: dict[str, list[Any]], name: str) -> None:
    pictures = phantoms([2])
    asked = [request(pictures, "zero", name, n, temperature=0.0) for n in range(4)]
    assert len({reply.text for reply in await uncached(replicas[name][0], asked, pictures)}) == 1


async def test_the_picture_changes_the_answer(routers: dict[str, Router], name: str) -> None:
    """Eight phantoms, the same words, no randomness: a model that sees them cannot say the same of all."""
    texts = set()
    for number in range(1, 9):
        pictures = phantoms([number])
        texts.add((await routers[name].route_request("case", request(pictures, "see", temperature=0.0), pictures)).text)
    assert len(texts) > 1


async def test_five_pictures_go_into_one_prompt(routers: dict[str, Router], name: str) -> None:
    tokens = []
    for count in (0, 1, 5):
        pictures = phantoms(range(1, count + 1)) if count else None
        tokens.append(
            (await routers[name].route_request("case", request(pictures, "five", name), pictures)).prompt_tokens
        )
    none, one, five = tokens
    assert five - none >= 4 * (one - none) > 0


async def test_a_prompt_over_the_limit_is_a_lost_call_and_harms_nobody(routers: dict[str, Router], name: str) -> None:
    pictures = phantoms([1])
    long = request(pictures, "long", name, text="word " * 20_000)
    good = request(pictures, "good", name)
    lost, reply = await asyncio.gather(
        routers[name].route_request("case", long, pictures),
        routers[name].route_request("case", good, pictures),
        return_exceptions=True,
    )
    assert isinstance(lost, LostCall)
    assert lost.failure.kind == "too_long"
    assert isinstance(reply, Reply)


async def test_a_picture_that_cannot_be_decoded_is_a_lost_call(routers: dict[str, Router], name: str) -> None:
    broken = Pictures("broken", (phantoms([1]).files[0][:40],))
    with pytest.raises(LostCall) as lost:
        await routers[name].route_request("case", request(broken, "broken", name), broken)
    assert lost.value.failure.kind == "pictures"


@pytest.mark.parametrize("token", ["<|image_pad|>", "<IMG_CONTEXT>"])
async def test_picture_tokens_in_the_text_never_reach_the_engine(routers: dict[str, Router], token: str) -> None:
    pictures = phantoms([1])
    outcomes = {}
    for name in INTERNS:
        asked = request(pictures, "stray", name, token, text=f"{PROMPT} {token}")
        outcomes[name] = await asyncio.gather(
            routers[name].route_request("case", asked, pictures), return_exceptions=True
        )
    owner = "tiny_qwen25vl" if token == "<|image_pad|>" else "tiny_internvl"
    (lost,) = outcomes[owner]
    assert isinstance(lost, LostCall)
    assert lost.failure.kind == "pictures"


@pytest.mark.slow
async def test_a_burst_of_split_prompts_leaves_the_engine_alive(replicas: dict[str, list[Any]], name: str) -> None:
    """Seeded requests beyond one step's tokens; vLLM on CPUs dies of them unless prompts stay whole."""
    before: ReplicaFacts = await replicas[name][0].read_facts.remote()
    for turn in range(2):
        sets = [phantoms(range(first, first + 5)) for first in range(1, 17)]
        calls = [
            uncached(replicas[name][0], [request(p, "burst", turn, n, text=PROMPT * 4) for n in range(4)], p)
            for p in sets
        ]
        for replies in await asyncio.gather(*calls):
            assert all(isinstance(reply, Reply) for reply in replies)
    after: ReplicaFacts = await replicas[name][0].read_facts.remote()
    assert after.pid == before.pid


async def test_a_reply_is_generated_once(routers: dict[str, Router], name: str) -> None:
    pictures = phantoms([3])
    one = request(pictures, "once", name)
    first = await routers[name].route_request("case", one, pictures)
    second = await routers[name].route_request("case", one, pictures)
    assert (first.cached, second.cached) == (False, True)
    assert second.text == first.text


def test_interns_and_their_engines_have_no_keys(replicas: dict[str, list[Any]], name: str) -> None:
    facts: ReplicaFacts = ray.get(replicas[name][0].read_facts.remote())
    actor = psutil.Process(facts.pid)
    family = [actor, *actor.children(recursive=True)]
    assert len(family) > 1, "the engine runs in a process of its own"
    for process in family:
        environment = Path(f"/proc/{process.pid}/environ").read_text(errors="replace")
        assert CANARY not in environment
    assert os.environ[next(iter(KEY_VARIABLES))] == CANARY


async def test_a_killed_replica_comes_back_and_every_call_is_answered(replicas: dict[str, list[Any]]) -> None:
    name = "tiny_internvl"
    router = connect_routers(replicas, PictureRefs())[name]
    before: ReplicaFacts = await replicas[name][0].read_facts.remote()
    engines = psutil.Process(before.pid).children(recursive=True)
    sets = [phantoms([number]) for number in range(1, 33)]
    asked = [(f"case-{n}", request(p, "kill", n, m), p) for n, p in enumerate(sets) for m in range(20)]
    calls = [asyncio.ensure_future(router.route_request(*one)) for one in asked]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    os.kill(before.pid, signal.SIGKILL)
    answered = sum(call.done() for call in calls)
    assert answered < len(calls), "killed too late to matter"
    replies = await asyncio.wait_for(asyncio.gather(*calls), timeout=240)
    assert all(reply.completion_tokens for reply in replies)
    after: ReplicaFacts = await replicas[name][0].read_facts.remote()
    assert after.pid != before.pid
    psutil.wait_procs(engines, timeout=20)
    assert not [process.pid for process in engines if process.is_running()], "an orphan would hold its GPU memory"


@pytest.mark.slow
async def test_an_engine_that_died_in_a_live_actor_is_replaced(replicas: dict[str, list[Any]]) -> None:
    name = "tiny_qwen25vl"
    router = connect_routers(replicas, PictureRefs())[name]
    before: ReplicaFacts = await replicas[name][0].read_facts.remote()
    (engine,) = [one for one in psutil.Process(before.pid).children() if "EngineCore" in one.name()]
    engine.kill()
    pictures = phantoms([4])
    reply = await asyncio.wait_for(
        router.route_request("case", request(pictures, "dead engine"), pictures), timeout=240
    )
    assert reply.text
    after: ReplicaFacts = await replicas[name][0].read_facts.remote()
    assert after.pid != before.pid


def test_settings_that_could_run_foreign_code_are_refused_before_any_actor_starts(ray_cluster: None) -> None:
    unsafe = InternDefaults(model="m", trust_remote_code=True, revision="main")
    endpoint = ModelConfig(model="j", base_url="local")
    with pytest.raises(RefusedRun, match=r"unsafe: trust_remote_code"):
        start_replicas(Config(mentors={"m": endpoint}, interns={"unsafe": unsafe}, judge=endpoint), None, None)
