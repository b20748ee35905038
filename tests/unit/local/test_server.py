"""The embedded server over real HTTP on loopback: OpenAI's shapes, errors, the key, and its life as a process."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
import yaml
from aiohttp import ClientSession, web

from mics_ray.local.findings import FINDINGS
from mics_ray.local.server import LOOPBACK, MODELS, make_app

PROMPTS = yaml.safe_load(Path("conf/prompts/default.yaml").read_text(encoding="utf-8"))
NOTES = f"Complaint: Cough.\nAge: 54 years\nGender: Male\nFindings: {FINDINGS[0].evidence[0]}"
MENTOR = PROMPTS["mentor"].format(
    question="?", answer="Pneumothorax", notes=NOTES, shown="age", prefix="(nothing yet)", next_step=1
)
JUDGE = PROMPTS["judge"].format(question="?", answer="Pneumothorax", candidate="A collapsed lung")
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
KEY = "canary-key"


async def _serving(api_key: str | None) -> AsyncIterator[str]:
    runner = web.AppRunner(make_app(api_key), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    async for address in _serving(None):
        yield address


@pytest_asyncio.fixture
async def locked_url() -> AsyncIterator[str]:
    async for address in _serving(KEY):
        yield address


def client(url: str, key: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def body(**changes: Any) -> dict[str, Any]:
    plain = {"model": MODELS[0], "messages": [{"role": "user", "content": MENTOR}], "temperature": 1.2, "seed": 3}
    return {**plain, **changes}


async def post(url: str, payload: Any) -> tuple[int, dict[str, Any]]:
    async with ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=payload) as reply:
        return reply.status, await reply.json()


async def test_reply_has_openais_exact_shape(url: str) -> None:
    status, reply = await post(url, body())
    assert status == 200
    assert set(reply) == {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert (reply["object"], reply["model"], reply["system_fingerprint"]) == ("chat.completion", MODELS[0], "simulated")
    (choice,) = reply["choices"]
    assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].endswith("### The final answer is: Pneumothorax")
    usage = reply["usage"]
    assert usage["prompt_tokens"] == -(-len(MENTOR) // 4)
    assert usage["completion_tokens"] == -(-len(choice["message"]["content"]) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_the_official_client_reads_mentor_judge_and_models(url: str) -> None:
    async with client(url) as api:
        parts: Any = [{"type": "text", "text": MENTOR}, PICTURE]
        messages: Any = [{"role": "system", "content": PROMPTS["mentor_system"]}, {"role": "user", "content": parts}]
        chain = await api.chat.completions.create(
            model=MODELS[1], messages=messages, temperature=1.2, seed=1, max_tokens=1024
        )
        verdict = await api.chat.completions.create(
            model="simulated-judge-terms", messages=[{"role": "user", "content": JUDGE}], temperature=0, max_tokens=16
        )
        listed = [model.id async for model in api.models.list()]
    assert chain.choices[0].message.content is not None
    assert chain.choices[0].message.content.startswith("### Step 1: ")
    assert chain.usage is not None
    assert chain.usage.prompt_tokens > 85  # the picture counts
    assert verdict.choices[0].message.content == "Yes"
    assert listed == list(MODELS)


async def test_same_request_same_content_other_seed_another(url: str) -> None:
    async def content(seed: int) -> str:
        return str((await post(url, body(seed=seed)))[1]["choices"][0]["message"]["content"])

    assert await content(1) == await content(1)
    assert len({await content(seed) for seed in range(10)}) > 3


async def test_a_reply_over_the_limit_is_cut_and_says_so(url: str) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        _, reply = await post(url, body(**{name: 10}))
        assert reply["choices"][0]["finish_reason"] == "length"
        assert reply["usage"]["completion_tokens"] == 10


async def test_errors_are_the_sdks_own(url: str, locked_url: str) -> None:
    async with client(url) as api:
        with pytest.raises(openai.NotFoundError) as missing:
            await api.chat.completions.create(model="gpt-none", messages=[{"role": "user", "content": "x"}])
        assert missing.value.code == "model_not_found"
    async with client(locked_url, "wrong-key") as api:
        with pytest.raises(openai.AuthenticationError) as refused:
            await api.models.list()
        assert refused.value.code == "invalid_api_key"
        assert "wrong-key" not in str(refused.value)
        assert KEY not in str(refused.value)
    async with client(locked_url, KEY) as api:
        assert (await api.models.list()).data


async def test_health_needs_no_key_and_a_missing_one_is_refused(locked_url: str) -> None:
    async with ClientSession() as session:
        async with session.get(f"{locked_url}/health") as reply:
            assert (reply.status, (await reply.json())["simulated"]) == (200, True)
        async with session.post(f"{locked_url}/v1/chat/completions", json=body()) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        None,
        {},
        body(model=None),
        body(model=""),
        body(messages=None),
        body(messages=[]),
        body(messages=["x"]),
        body(messages=[{"content": "x"}]),
        body(messages=[{"role": "user"}]),
        body(messages=[{"role": "user", "content": 5}]),
        body(messages=[{"role": "user", "content": ["x"]}]),
        body(messages=[{"role": "user", "content": [{"type": "text"}]}]),
        body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]),
        body(messages=[{"role": "user", "content": [{"type": "audio"}]}]),
        body(temperature="hot"),
        body(temperature=3),
        body(temperature=True),
        body(temperature=float("nan")),
        body(seed="x"),
        body(seed=2**70),
        body(max_tokens=0),
        body(max_completion_tokens=1.5),
        body(stream=True),
        body(n=2),
    ],
)
async def test_malformed_requests_get_a_400_error_body(url: str, payload: Any) -> None:
    status, reply = await post(url, payload)
    assert status == 400
    assert set(reply["error"]) == {"message", "type", "param", "code"}
    assert reply["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"model": "x",}'])
async def test_bodies_that_are_no_json_get_a_400_error_body(url: str, raw: bytes) -> None:
    for charset in ("utf-8", "no-such-charset"):
        headers = {"Content-Type": f"application/json; charset={charset}"}
        async with (
            ClientSession() as session,
            session.post(f"{url}/v1/chat/completions", data=raw, headers=headers) as reply,
        ):
            assert (reply.status, set(await reply.json())) == (400, {"error"})


async def test_unknown_path_and_method_get_an_error_body(url: str) -> None:
    async with ClientSession() as session:
        async with session.get(f"{url}/v1/nothing") as reply:
            assert (reply.status, set(await reply.json())) == (404, {"error"})
        async with session.get(f"{url}/v1/chat/completions") as reply:
            assert (reply.status, set(await reply.json())) == (405, {"error"})


async def test_odd_characters_go_through(url: str) -> None:
    odd = 'Complaint: "\ud800 \x00 \u202e" \U0001fac1\nFindings: \ud800 is seen here.'
    status, reply = await post(url, body(messages=[{"role": "user", "content": odd}]))
    assert status == 200
    assert reply["choices"][0]["message"]["content"]


async def _start(*options: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mics_ray.local.server", "--port", "0", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("ending", ["stdin", "sigterm"])
async def test_process_announces_itself_serves_and_ends(ending: str) -> None:
    process = await _start("--api-key-env", "MICS_TEST_KEY", MICS_TEST_KEY=KEY)
    try:
        assert process.stdout
        assert process.stdin
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        assert ready["simulated"] is True
        async with openai.AsyncOpenAI(base_url=ready["url"], api_key=KEY, max_retries=0) as api:
            assert [m.id for m in (await api.models.list()).data] == ready["models"] == list(MODELS)
        process.stdin.close() if ending == "stdin" else process.terminate()
        _, log = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    assert b"simulated" in log
    assert KEY.encode() not in log


async def test_process_refuses_to_start_without_the_key_it_is_told_to_ask_for() -> None:
    process = await _start("--api-key-env", "MICS_NO_SUCH_KEY")
    out, log = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (64, b"")
    assert b"--api-key-env" in log
