"""What the entry of a model behind an API is refused for, and what is said about it beforehand."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from math import inf

from yarl import URL

from mics_ray.assemble.locations import LOCAL, list_endpoints, list_models
from mics_ray.config.compose import looks_like_key, suggest_variable
from mics_ray.config.keys import list_key_names, read_key
from mics_ray.config.schema import Config, Engine, ModelConfig
from mics_ray.models.chat.address import check_base_url
from mics_ray.proxies import is_loopback

OURS = ("messages", "model", "stream", "stream_options")
"""Parts of a request that ``extra_body`` may not carry: they are what the program asks."""
UNREAD = ("n", "best_of", "tools", "functions", "tool_choice", "function_call", "modalities", "audio")
"""Parts that make a model answer, for money, in a way that nobody here reads."""
OF_CONNECTION = (
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "host",
    "transfer-encoding",
)  # fmt: skip
"""Headers that are the client's own."""
SECRET_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
ENDPOINT_FIELDS = ("extra_body", "headers", "headers_env", "query", "allow_http")
"""Fields of a model that only ``engine: endpoint`` reads, as far as their loss would change an answer or a promise."""


def find_entry_problems(name: str, entry: ModelConfig) -> list[str]:
    """What is wrong with the entry of a model behind an API, one line each."""
    problems = [*_check_address(entry), *_check_key(entry), *_check_headers(entry), *_check_body(entry)]
    for limit in ("requests_per_minute", "tokens_per_minute", "max_in_flight", "deadline_s", "max_tokens"):
        if (value := getattr(entry, limit)) is not None and value <= 0:
            problems.append(f"{limit}: {value} is not above 0")
    for kind, price in asdict(entry.price).items():
        if price is not None and not 0 <= price < inf:  # below 0, or NaN: calls would pay into the budget
            problems.append(f"price.{kind}: {price:g} is {'below 0' if price < 0 else 'no price'}")
    return [f"{name}.{problem}" for problem in problems]


def find_ignored_fields(config: Config) -> list[str]:
    """Fields of an API's entry on a model that vLLM serves, one line each."""
    plain = ModelConfig()
    return [
        f"{name}.{field}: goes only with engine=endpoint (vLLM takes engine_kwargs)"
        for name, entry in list_models(config).items()
        if entry.engine is Engine.vllm
        for field in ENDPOINT_FIELDS
        if getattr(entry, field) != getattr(plain, field)
    ]


def list_warnings(config: Config) -> list[str]:
    """What the user should know of the entries before they are used, one line each."""
    warnings = []
    for name, entry in list_endpoints(config).items():
        if entry.base_url and entry.base_url != LOCAL and list_key_names(entry):
            url = URL(entry.base_url)
            if url.scheme == "http" and not is_loopback(url.host or ""):
                sent = ", ".join(list_key_names(entry))
                warnings.append(f"{name}: {sent} goes to {url.host} by http; everybody on the way can read it")
    return warnings


def _check_address(entry: ModelConfig) -> Iterator[str]:
    if entry.base_url is None:
        yield "base_url is not set: give the address of its API, such as https://host/v1"
    elif entry.base_url != LOCAL:
        try:
            check_base_url(entry.base_url, entry.allow_http)
        except ValueError as error:
            yield f"base_url: {error}"


def _check_key(entry: ModelConfig) -> Iterator[str]:
    if entry.api_key_env is not None:
        yield from _check_variable("api_key_env", entry.api_key_env)


def _check_variable(field: str, variable: str) -> Iterator[str]:
    """Whether the name of a variable is one, and the variable is set. What may be a key is not repeated."""
    if looks_like_key(variable) or not variable.isidentifier():
        yield f"{field}: must be the NAME of an environment variable, not a key"
    elif (value := read_key(variable)) is None:
        yield f"{field}: {variable} is not set{suggest_variable(variable)}"
    elif not HEADER_VALUE.fullmatch(value.strip()):
        yield f"{field}: {variable} holds characters that a header cannot carry"


def _check_headers(entry: ModelConfig) -> Iterator[str]:
    for field, headers in (("headers", entry.headers), ("headers_env", entry.headers_env)):
        for header in headers:
            if not HEADER_NAME.fullmatch(header) or header.lower() in OF_CONNECTION:
                yield f"{field}.{header[:40]}: is no header that an entry can set"
    for header, value in entry.headers.items():
        if header.lower() in SECRET_HEADERS:
            yield f"headers.{header}: a secret comes from the environment; its variable's NAME goes into headers_env"
        elif not HEADER_VALUE.fullmatch(str(value)):
            yield f"headers.{header[:40]}: holds characters that a header cannot carry"
    for header, variable in entry.headers_env.items():
        yield from _check_variable(f"headers_env.{header[:40]}", str(variable))
        if header.lower() == "authorization" and entry.api_key_env is not None:
            yield "headers_env.Authorization: api_key_env sends this header; give one of them"


def _check_body(entry: ModelConfig) -> Iterator[str]:
    for key in entry.extra_body:
        if key in OURS:
            yield f"extra_body.{key}: is what the program asks; an entry cannot replace it"
        elif key in UNREAD and entry.extra_body[key] is not None and (key != "n" or entry.extra_body[key] != 1):
            yield f"extra_body.{key}: only the text of one choice is read; take it out"
