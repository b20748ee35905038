"""What an entry behind an API is refused for, each problem in a line that names its field and no secret."""

from typing import Any

import pytest

from mics_ray.assemble.checks import find_budget_problems, find_model_problems
from mics_ray.assemble.entry_checks import find_entry_problems, find_ignored_fields, list_warnings
from mics_ray.assemble.locations import group_by_provider
from mics_ray.config.keys import list_key_names, read_secret_headers
from mics_ray.config.schema import Config, Engine, InternDefaults, ModelConfig, Price
from mics_ray.runtime.serving.model_actors import list_key_variables

URL = "https://host.test/v1"
KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOD_KEY", KEY)
    monkeypatch.setenv("BAD_KEY", "two\nlines")
    monkeypatch.delenv("NO_KEY", raising=False)


def entry(**fields: Any) -> ModelConfig:
    return ModelConfig(model="m", **{"base_url": URL, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"api_key_env": "GOOD_KEY"},
        {"headers_env": {"api-key": "GOOD_KEY"}},
        {"headers_env": {"Authorization": "GOOD_KEY"}},
        {"headers": {"HTTP-Referer": "https://example.org", "X-Title": "a title"}},
        {"query": {"api-version": "2024-10-21"}},
        {"extra_body": {"n": 1, "tools": None, "response_format": {"type": "text"}}},
        {"extra_body": {"max_tokens": None, "reasoning": {"effort": "low"}, "stop": ["x"]}},
        {"base_url": "http://vllm.ns.svc.cluster.local:8000/v1", "allow_http": True},
        {"base_url": "local"},
        {"max_in_flight": 1, "max_tokens": 1, "requests_per_minute": 0.5, "deadline_s": 0.1},
    ],
)
def test_a_good_entry(fields: dict[str, Any]) -> None:
    assert find_entry_problems("m", entry(**fields)) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"extra_body": {"messages": []}}, "m.extra_body.messages"),
        ({"extra_body": {"model": "other"}}, "m.extra_body.model"),
        ({"extra_body": {"stream": True}}, "m.extra_body.stream"),
        ({"extra_body": {"messages": None}}, "m.extra_body.messages"),
        ({"extra_body": {"n": 3}}, "m.extra_body.n"),
        ({"extra_body": {"tools": [{"type": "web_search"}]}}, "m.extra_body.tools"),
        ({"extra_body": {"stream_options": {}}}, "m.extra_body.stream_options"),
        ({"price": Price(output_per_mtok=float("inf"))}, "m.price.output_per_mtok"),
        ({"base_url": "https://host/v1/chat/completions"}, "m.base_url"),
        ({"base_url": "https://host/v1/responses/"}, "m.base_url"),
        ({"headers": {"Authorization": "Bearer x"}}, "m.headers.Authorization"),
        ({"headers": {"API-Key": "x"}}, "m.headers.API-Key"),
        ({"headers": {"Host": "elsewhere"}}, "m.headers.Host"),
        ({"headers": {"content-length": "5"}}, "m.headers.content-length"),
        ({"headers": {"two words": "x"}}, "m.headers.two words"),
        ({"headers": {"X-Evil": "a\r\nX-Other: b"}}, "m.headers.X-Evil"),
        ({"headers": {"": "x"}}, "m.headers."),
        ({"headers_env": {"api-key": "NO_KEY"}}, "m.headers_env.api-key"),
        ({"headers_env": {"api-key": KEY}}, "m.headers_env.api-key"),
        ({"headers_env": {"api-key": "not a name"}}, "m.headers_env.api-key"),
        ({"headers_env": {"api-key": "BAD_KEY"}}, "m.headers_env.api-key"),
        ({"headers_env": {"cookie": "GOOD_KEY"}}, "m.headers_env.cookie"),
        ({"headers_env": {"authorization": "GOOD_KEY"}, "api_key_env": "GOOD_KEY"}, "m.headers_env.Authorization"),
        ({"api_key_env": "NO_KEY"}, "m.api_key_env"),
        ({"api_key_env": KEY}, "m.api_key_env"),
        ({"api_key_env": "BAD_KEY"}, "m.api_key_env"),
        ({"base_url": "http://vllm.ns.svc.cluster.local:8000/v1"}, "m.base_url"),
        ({"base_url": None}, "m.base_url"),
        ({"base_url": "https://host/v1?api-version=1"}, "m.base_url"),
        ({"max_tokens": 0}, "m.max_tokens"),
        ({"price": Price(input_per_mtok=-1.0)}, "m.price.input_per_mtok"),
        ({"price": Price(cached_input_per_mtok=float("nan"))}, "m.price.cached_input_per_mtok"),
    ],
)
def test_a_bad_entry(fields: dict[str, Any], field: str) -> None:
    (problem,) = find_entry_problems("m", entry(**fields))
    assert problem.startswith(field)
    assert KEY not in problem
    assert "two\nlines" not in problem


def test_http_into_the_cluster_says_how_it_is_allowed() -> None:
    (problem,) = find_entry_problems("m", entry(base_url="http://vllm.ns.svc:8000/v1"))
    assert "allow_http: true" in problem


def configure(**entries: ModelConfig) -> Config:
    return Config(mentors=entries, interns={}, judge=entry())


@pytest.mark.parametrize("field", ["extra_body", "headers", "headers_env", "query", "allow_http"])
def test_a_field_of_apis_on_a_model_of_ours_is_refused(field: str) -> None:
    value: Any = True if field == "allow_http" else {"a": "b"}
    served = InternDefaults(model="x", engine=Engine.vllm, **{field: value})
    config = Config(mentors={}, interns={"mine": served}, judge=entry())
    (problem,) = find_ignored_fields(config)
    assert problem.startswith(f"mine.{field}: goes only with engine=endpoint")
    assert any(problem in line for line in find_model_problems(config))
    assert find_ignored_fields(Config(mentors={}, interns={"mine": InternDefaults(model="x")}, judge=entry())) == []


def test_what_goes_by_http_with_a_secret_is_warned_of() -> None:
    http = {"base_url": "http://vllm.ns.svc:8000/v1", "allow_http": True}
    config = configure(
        plain=entry(**http),
        key=entry(**http, api_key_env="GOOD_KEY"),
        header=entry(**http, headers_env={"api-key": "GOOD_KEY"}),
        here=entry(base_url="http://127.0.0.1:8000/v1", api_key_env="GOOD_KEY"),
        safe=entry(api_key_env="GOOD_KEY"),
    )
    warnings = list_warnings(config)
    assert [warning.partition(":")[0] for warning in warnings] == ["key", "header"]
    assert all("GOOD_KEY goes to vllm.ns.svc by http" in warning for warning in warnings)


def test_a_key_in_a_header_is_a_key_everywhere() -> None:
    azure = entry(headers_env={"api-key": "GOOD_KEY"})
    config = configure(azure=azure)
    config.budget_usd = 5.0
    assert any(line.startswith("azure.price") for line in find_budget_problems(config))
    assert list_key_names(azure) == ["GOOD_KEY"]
    assert list_key_variables(config) == ["GOOD_KEY"]
    assert read_secret_headers({"azure": azure, "none": entry()}) == {"azure": {"api-key": KEY}, "none": {}}


def test_entries_with_one_address_and_key_share_an_endpoint_whatever_else_they_send() -> None:
    config = configure(
        a=entry(api_key_env="A"),
        b=entry(
            api_key_env="A", headers={"X-Title": "b"}, query={"v": "1"}, extra_body={"seed": None}, allow_http=True
        ),
        c=entry(api_key_env="B"),
        d=entry(headers_env={"api-key": "A"}),
        e=entry(headers_env={"API-Key": "A"}, headers={"X-Title": "e"}),
        f=entry(headers_env={"api-key": "B"}),
    )
    groups = sorted(sorted(group) for group in group_by_provider(config).values())
    assert groups == [["a", "b"], ["c"], ["d", "e"], ["f"], ["judge"]]


def test_white_space_around_a_secret_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOD_KEY", f"{KEY}\n")
    monkeypatch.setenv("WHITE_SPACE_ONLY", " \n")
    sent = entry(api_key_env="GOOD_KEY", headers_env={"api-key": "GOOD_KEY"})
    assert find_entry_problems("m", sent) == []
    assert read_secret_headers({"m": sent}) == {"m": {"api-key": KEY}}
    assert find_entry_problems("m", entry(headers_env={"api-key": "WHITE_SPACE_ONLY"})) == [
        "m.headers_env.api-key: WHITE_SPACE_ONLY is not set"
    ]
