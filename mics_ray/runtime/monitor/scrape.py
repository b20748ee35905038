"""Reading a run's metrics where Ray serves them: a dashboard's address, or a node's metrics port."""

import json
import math
import os
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from mics_ray.core.types import KEPT_OUTCOMES
from mics_ray.errors import RefusedRun
from mics_ray.proxies import shows_secrets
from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.watch_view import ModelView, RunView

TIMEOUT_S = 3.0
AT_ONCE = 16  # nodes asked at the same time: one that hangs costs its timeout, not everybody's
MOST_BYTES = 64 << 20  # what answers at an address may send without end

Sample = tuple[str, dict[str, str], float]
"""A series at one moment: its name without Ray's prefix, its tags, its value."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token is not carried to another address."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""
        return


def read_samples(address: str) -> list[Sample]:
    """Every sample of ours at ``address``: ``[http[s]://]HOST:PORT`` of a Ray dashboard (all its nodes) or of a node's
    metrics. Raises :class:`RefusedRun`."""
    base = _parse_base_url(address)
    targets = _read_targets(base)
    if targets is None:
        return list(parse_samples(_fetch_text(f"{base}/metrics", _read_token(base))))
    found, unreachable = read_targets_samples(targets)
    if len(unreachable) == len(targets):
        raise RefusedRun(f"address: the metrics ports that {address} names cannot be reached from here: {targets}")
    return found


def read_targets_samples(targets: Sequence[str]) -> tuple[list[Sample], list[str]]:
    """The samples of nodes' metrics ports (``HOST:PORT``), and those ports that cannot be reached."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        bodies = list(pool.map(_read_page, targets))
    found = [sample for body in bodies if body is not None for sample in parse_samples(body)]
    return found, [target for target, body in zip(targets, bodies, strict=True) if body is None]


def build_views(found: Iterable[Sample]) -> dict[str, RunView]:
    """The samples as one view per run."""
    runs: dict[str, RunView] = {}
    lag: dict[str, dict[str, float]] = {}
    for name, tags, value in found:
        run = tags.get("run", "")
        view = runs.setdefault(run, RunView(run, "no worker at work"))
        if name.startswith(metrics.COMMIT_LAG.name):
            part = name.removeprefix(metrics.COMMIT_LAG.name)
            lag.setdefault(run, {"_sum": 0.0, "_count": 0.0})
            if part in lag[run]:
                lag[run][part] += value
        else:
            _add_sample(view, name, tags, value)
    for run, parts in lag.items():
        runs[run].lag_s = parts["_sum"] / parts["_count"] if parts["_count"] else None
    return runs


def _add_sample(view: RunView, name: str, tags: dict[str, str], value: float) -> None:
    """Add one sample to its place."""
    if name == metrics.CASES.name:
        view.outcomes[tags["outcome"]] += int(value)
        if tags["outcome"] in KEPT_OUTCOMES:
            view.quality[tags["quality"]] += int(value)
    elif name == metrics.LOST.name:
        view.lost[tags["kind"]] += int(value)
    elif name == metrics.OPEN.name:
        view.open, view.state = (view.open or 0) + value, "running"
    elif "model" in tags:
        _add_model_sample(view, name, tags, value)


def _add_model_sample(view: RunView, name: str, tags: dict[str, str], value: float) -> None:
    model = view.find_model(tags["model"])
    if name == metrics.CALLS.name:
        _add_calls_sample(model, tags["result"], value)
    elif name == metrics.TOKENS.name and tags["kind"] == "prompt":
        model.prompt_tokens += value
    elif name == metrics.TOKENS.name:
        model.completion_tokens += value
    elif name == metrics.TOKEN_PARTS.name and tags["kind"] == "cached":
        model.cached_tokens += value
    elif name == metrics.COST.name:
        model.cost_usd += value
    elif name == metrics.RETRIES.name:
        model.retries = (model.retries or 0) + value
    elif name == metrics.WAITED.name:
        model.waited_s = (model.waited_s or 0) + value
    elif name in (metrics.LIMITER_QUEUE.name, metrics.INTERN_QUEUE.name):
        model.queue = (model.queue or 0) + value
    elif name in (metrics.IN_FLIGHT.name, metrics.REPLICA_REQUESTS.name):
        model.in_flight = (model.in_flight or 0) + value
    elif name == metrics.PREFIX_TOKENS.name and tags["kind"] == "hit":
        model.hits += value
    elif name == metrics.PREFIX_TOKENS.name:
        model.prompts += value


def _add_calls_sample(model: ModelView, result: str, value: float) -> None:
    if model.failures is None:
        model.failures = Counter()
    if result in ("ok", "cached"):
        model.replies += value
        model.cached += value if result == "cached" else 0
    else:
        model.failures[result] += int(value)


def _parse_base_url(address: str) -> str:
    url = address if "://" in address else f"http://{address}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RefusedRun(f"address: {address} is no HOST:PORT of a Ray dashboard or of a node's metrics")
    return f"{parts.scheme}://{parts.netloc}"


def _read_targets(base: str) -> list[str] | None:
    """The nodes' metrics ports that a dashboard names; ``None`` where ``base`` is no dashboard."""
    try:
        groups = json.loads(_fetch_text(f"{base}/api/prometheus/sd", _read_token(base)))
        return [str(target) for group in groups for target in group["targets"]]
    except (ValueError, TypeError, KeyError):  # a node's metrics port answers every path with its metrics
        return None


def _read_page(target: str) -> str | None:
    """A node's metrics; ``None`` where it cannot be reached. The token stays with the dashboard that asks for it."""
    try:
        return _fetch_text(f"http://{target}/metrics")
    except RefusedRun:
        return None


def parse_samples(text: str) -> Iterator[Sample]:
    """The samples of our metrics on a page in Prometheus' text format."""
    own = metrics.RAY_PREFIX + "mics_"
    # Picked before they are parsed, which is slow: most of a node's page are Ray's own metrics.
    lines = [line for line in text.splitlines() if line.startswith((own, f"# HELP {own}", f"# TYPE {own}"))]
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if math.isfinite(sample.value):  # NaN would spoil every sum that it goes into
                yield sample.name.removeprefix(metrics.RAY_PREFIX), dict(sample.labels), sample.value


def _fetch_text(url: str, token: str | None = None) -> str:
    """The body under ``url``. Raises :class:`RefusedRun`."""
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with _open_directly(request) as answer:
            body: bytes = answer.read(MOST_BYTES)
            return body.decode(errors="replace")
    except urllib.error.HTTPError as error:
        hint = _advise_token(url) if error.code in (401, 403) else ""
        raise RefusedRun(f"address: {url} answers {error.code}{hint}") from None
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise RefusedRun(f"address: cannot reach {url} ({reason}); is it up, and is the port open to here?") from None


def _open_directly(request: urllib.request.Request) -> Any:
    """The answer, asked for without the environment's proxies: a cluster's addresses are not theirs to know."""
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=TIMEOUT_S)


def _advise_token(url: str) -> str:
    if shows_secrets(url):
        host = urlsplit(url).hostname
        return f"; a token does not travel over plain http: use https, or a tunnel (ssh -L 8265:127.0.0.1:8265 {host})"
    return "; set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's token"


def _read_token(base: str) -> str | None:
    """Ray's own token: from ``RAY_AUTH_TOKEN``, or from the file that ``RAY_AUTH_TOKEN_PATH`` names; none for an
    address to which it would travel in clear."""
    if shows_secrets(base):
        return None
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token.strip()
    if path := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise RefusedRun(f"RAY_AUTH_TOKEN_PATH: cannot read {path}: {error.strerror}") from None
    return None
