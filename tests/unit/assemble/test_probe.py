"""The first call to each model, over real HTTP: it asks as the run will, and what it hears decides."""

# ruff: noqa: E501 - replies of models stay whole

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest

from mics_ray.assemble.probe import probe_models
from mics_ray.config.schema import Config, Engine, InternDefaults, ModelConfig, Price, PromptsConfig, SearchConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.replies.ledger import Ledger, read_spent_usd
from tests.support.faulty_server import Behaviour, FaultyServer, Seen, answer, completion, error, hang
from tests.support.proxy import write_certificate

SECRET = "sk-Canary_abcdef"
PROMPTS = PromptsConfig(mentor_system="You are a mentor.", mentor="{question}", intern="{question}", judge="{question}")


def configure(url: str, **entry: Any) -> Config:
    """Two mentors, an endpoint intern and a judge at one address; ``entry`` stands in each."""
    settings: dict[str, Any] = {"base_url": url, "api_key_env": "PROBE_KEY", **entry}
    return Config(
        mentors={name: ModelConfig(model=name, **settings) for name in ("mentor_a", "mentor_b")},
        interns={"intern": InternDefaults(model="intern", engine=Engine.endpoint, **settings)},
        judge=ModelConfig(model="judge", **settings),
        search=SearchConfig(intern_temperatures=[0.3, 1.2], mentor_temperature=0.9),
        prompts=PROMPTS,
    )


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_KEY", SECRET)
    monkeypatch.setattr("mics_ray.models.chat.endpoint.PROBE_S", 5.0)


async def refuse(config: Config) -> list[str]:
    """The lines of a probe that must refuse."""
    with pytest.raises(RefusedRun) as refused:
        await probe_models(config)
    lines = str(refused.value).splitlines()
    assert not any("Canary" in line for line in lines)
    return lines


async def test_the_word_that_is_asked_first_is_paid_from_the_budget(tmp_path: Path) -> None:
    async with FaultyServer() as server:
        judge = ModelConfig(model="m", base_url=server.url, price=Price(input_per_mtok=2.0, output_per_mtok=10.0))
        await probe_models(Config(mentors={}, interns={}, judge=judge), Ledger(tmp_path, "probe", None))
        assert len(server.seen) == 1
    assert read_spent_usd(tmp_path) == pytest.approx((100 * 2 + 20 * 10) / 1e6)


async def test_it_asks_as_the_run_will_ask() -> None:
    extra = {"max_tokens": None, "max_completion_tokens": 8192, "seed": None}
    async with FaultyServer() as server:
        config = configure(server.url, extra_body=extra, query={"api-version": "1"}, headers={"X-Title": "t"})
        config.mentors["mentor_b"].sees_pictures = False
        proven = await probe_models(config)
        assert proven == {f"{server.url} PROBE_KEY"}
    asked = {seen.body["model"]: seen for seen in server.seen}
    assert set(asked) == {"mentor_a", "mentor_b", "intern", "judge"}
    for seen in server.seen:
        assert (seen.body["max_completion_tokens"], seen.headers["x-title"]) == (8192, "t")
        assert not {"max_tokens", "seed"} & seen.body.keys()
        assert seen.path.endswith("?api-version=1")
    roles = {name: [message["role"] for message in seen.body["messages"]] for name, seen in asked.items()}
    assert roles == {
        "mentor_a": ["system", "user"],
        "mentor_b": ["system", "user"],
        "intern": ["user"],
        "judge": ["user"],
    }
    assert {name: seen.body["temperature"] for name, seen in asked.items()} == {
        "mentor_a": 0.9, "mentor_b": 0.9, "intern": 1.2, "judge": 0.0
    }  # fmt: skip
    shown = {name for name, seen in asked.items() if isinstance(seen.body["messages"][-1]["content"], list)}
    assert shown == {"mentor_a", "intern"}
    picture = asked["mentor_a"].body["messages"][-1]["content"][0]["image_url"]["url"]
    assert base64.b64decode(picture.partition(",")[2]).startswith(b"\x89PNG")


async def test_a_run_without_pictures_shows_none() -> None:
    async with FaultyServer() as server:
        await probe_models(configure(server.url), with_pictures=False)
        assert all(isinstance(seen.body["messages"][-1]["content"], str) for seen in server.seen)


@pytest.mark.parametrize(
    "reply",
    [completion("Re", "length"), completion(None, "length"), completion(""), completion(None), completion("no!")],
)
async def test_a_cut_or_empty_or_other_reply_passes(reply: Any) -> None:
    async with FaultyServer(otherwise=answer(reply)) as server:
        await probe_models(configure(server.url))
        assert len(server.seen) == 4


async def test_a_rate_limit_is_waited_for_and_an_outage_is_left_to_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultyServer([error(429, Retry_After="0.1")]) as server:
        assert await probe_models(configure(server.url))
        assert len(server.seen) == 5
    monkeypatch.setattr("mics_ray.models.chat.endpoint.PROBE_S", 0.3)
    for fault in (error(503), hang, error(429, Retry_After="7200")):
        async with FaultyServer(otherwise=fault) as server:
            assert await probe_models(configure(server.url)) == frozenset()


@pytest.mark.parametrize(
    ("status", "message", "line"),
    [
        (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "extra_body: {max_tokens: null, max_completion_tokens: 4096}",
        ),
        (400, "Unsupported value: 'temperature' does not support 0.9, only 1 is supported", "extra_body: {temperature: null}"),
        (400, "`temperature` may only be set to 1 or left out", "extra_body: {temperature: null}"),
        (422, "seed: extra fields not permitted", "extra_body: {seed: null}"),
        (400, "Unknown name \"seed\": Cannot find field.", "extra_body: {seed: null}"),
        (400, "parameter.enable_thinking must be set to false for non-streaming calls", "extra_body: {enable_thinking: false}"),
        (400, "unknown variant `image_url`, expected `text`", "sees_pictures: false"),
        (400, "This model does not support image inputs", "sees_pictures: false"),
        (404, "No endpoints found that support image input", "sees_pictures: false"),
        (500, "this model is missing data required for image input", "sees_pictures: false"),
        (500, "image input is not supported - hint: you may need to provide the mmproj", "sees_pictures: false"),
        (400, "max_tokens is too large: 4096. This model supports at most 2048 completion tokens", "max_tokens: 2048"),
        (400, "Range of max_tokens should be [1, 2048]", "max_tokens: 2048"),
        (400, "the moon is in the wrong house", ""),
    ],
)  # fmt: skip
async def test_a_refused_parameter_is_told_with_the_line_to_add(status: int, message: str, line: str) -> None:
    async with FaultyServer(otherwise=error(status, None, message)) as server:
        lines = await refuse(configure(server.url))
        assert len(lines) == len(server.seen) == 4, "a line per model, each asked once"
    assert [told.partition(":")[0] for told in lines] == ["mentor_a", "mentor_b", "intern", "judge"]
    for told in lines:
        assert f'{status}: "{message}" (model ' in told
        assert "key from PROBE_KEY" in told
        if line and not told.startswith(("judge", "intern")):
            assert told.endswith(f"; add to the entry: {line}")
        assert line or "add to the entry" not in told


async def test_one_models_refusal_is_no_matter_of_the_others() -> None:
    async def picky(seen: Seen, writer: Any) -> None:
        bad = seen.body["model"] in ("mentor_a", "judge")
        await (error(400, None, "seed is unknown") if bad else answer(completion()))(seen, writer)

    async with FaultyServer(otherwise=picky) as server:
        lines = await refuse(configure(server.url))
    assert [told.partition(":")[0] for told in lines] == ["mentor_a", "judge"]


@pytest.mark.parametrize("fault", [error(401, "invalid_api_key"), error(402), error(403)])
async def test_a_key_that_is_refused_is_used_once(fault: Behaviour) -> None:
    async with FaultyServer(otherwise=fault) as server:
        lines = await refuse(configure(server.url))
        assert (len(lines), len(server.seen)) == (4, 1)


@pytest.mark.parametrize(
    "fault",
    [
        answer({"detail": "Not Found"}, 404),
        answer(b"404 page not found", 404),
        error(404, None, "Invalid URL (POST /chat/completions)"),
        answer(b"<html>", 405),
        answer(b"<html>Welcome"),
        answer({"models": []}),
        answer(b"", 302, {"Location": "https://elsewhere/"}),
    ],
)
async def test_an_address_without_the_api(fault: Behaviour) -> None:
    async with FaultyServer(otherwise=fault) as server:
        url = server.url.removesuffix("/v1")
        lines = await refuse(configure(url))
        assert all(f"no chat API at {url}/chat/completions" in told for told in lines)
        assert all("does base_url end in /v1?" in told for told in lines)


async def test_an_error_without_a_code_inside_a_200_is_told() -> None:
    async with FaultyServer(otherwise=answer({"error": "This endpoint is closed"})) as server:
        lines = await refuse(configure(server.url))
    assert all("This endpoint is closed" in told and "no chat API" not in told for told in lines)


async def test_an_untrusted_certificate_is_one_clear_line_each(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with FaultyServer(tls=context, host="localhost") as server:
        lines = await refuse(configure(server.url))
        assert server.seen == []
    assert all("the certificate is not trusted: self-signed certificate" in told for told in lines)
    assert all(server.url in told for told in lines)


async def test_headers_that_hold_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_KEY", "azure-Canary-key")
    async with FaultyServer() as server:
        await probe_models(configure(server.url, api_key_env=None, headers_env={"api-key": "AZURE_KEY"}))
        assert {seen.headers["api-key"] for seen in server.seen} == {"azure-Canary-key"}
        assert not any("authorization" in seen.headers for seen in server.seen)
    echo = error(400, None, "no such thing as azure-Canary-key")
    async with FaultyServer(otherwise=echo) as server:
        lines = await refuse(configure(server.url, api_key_env=None, headers_env={"api-key": "AZURE_KEY"}))
        assert "key from AZURE_KEY" in lines[0]
