"""The endpoint actor: one per provider, which holds its limits, money and cache.

One long poll returns everything that is done: a message between actors costs 1-2 ms of CPU, more than the HTTP call.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from mics_ray.config.keys import drop_hub_tokens, read_key, read_secret_headers
from mics_ray.config.schema import ModelConfig
from mics_ray.core.types import Failure, LostCall
from mics_ray.jobs.collector import spare_collector
from mics_ray.models.replies.ledger import Ledger
from mics_ray.models.replies.reply_store import GB, ReplyStore
from mics_ray.models.types import Refused, Reply
from mics_ray.runtime.driver.cluster import own_node
from mics_ray.runtime.driver.remote_endpoint import EndpointAnswer, EndpointCall
from mics_ray.runtime.monitor import metrics

LINGER_S = 0.02  # ten messages' worth of CPU, and little beside a model's answer
"""How long a poll waits for more answers after the first."""
ENDPOINT = "endpoint-"
"""Begins the names of all endpoints: which provider had which number in an earlier session is not known."""


class EndpointActor:
    """The Ray actor around one provider's :class:`Endpoint`. Only here are keys read from the environment."""

    def __init__(
        self,
        entries: Mapping[str, ModelConfig],
        cache_folder: str,
        name: str,
        budget_usd: float | None = None,
        max_gb: float | None = None,
        proven: bool = False,
    ) -> None:
        # Here: whatever process has the actor's handle loads this module, and search workers need no HTTP client.
        from mics_ray.models.chat.client import load_sdk
        from mics_ray.models.chat.endpoint import Endpoint

        spare_collector()
        load_sdk()  # while the search workers start
        spare_collector()
        variable = next(iter(entries.values())).api_key_env  # one provider and key per actor, so any entry names it
        limit = None if max_gb is None else round(max_gb * GB)
        self._cache = ReplyStore(Path(cache_folder), name, limit, kin=ENDPOINT)
        self._ledger = Ledger(Path(cache_folder), name, budget_usd)
        key, headers = read_key(variable) if variable else None, read_secret_headers(entries)
        drop_hub_tokens()
        self._endpoint = Endpoint(entries, key, self._cache, self._ledger, headers, proven)
        self._done: dict[str, asyncio.Queue[tuple[int, EndpointAnswer, str]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._meters = metrics.RunMetrics(metrics.run_name(cache_folder), self._set_gauges).start()

    async def submit(self, client: str, calls: list[EndpointCall]) -> None:
        """Start calls; their answers are fetched by :meth:`collect` under the same ``client``."""
        queue = self._done.setdefault(client, asyncio.Queue())
        for call in calls:
            task = asyncio.create_task(self._answer_call(call, queue))
            self._running.add(task)  # the loop keeps weak references only; and `drain` waits for these
            task.add_done_callback(self._running.discard)

    async def collect(self, client: str) -> list[tuple[int, EndpointAnswer, str]]:
        """Wait for the next answers of ``client``: ticket, answer, and the lost call's text (else empty)."""
        queue = self._done.setdefault(client, asyncio.Queue())
        answers = [await queue.get()]
        # What is stored comes at once, and a run that goes on has a chain of it before its first call.
        await asyncio.sleep(0 if _is_stored(answers[0][1]) else LINGER_S)
        while not queue.empty():
            answers.append(queue.get_nowait())
        return answers

    async def read_stats(self) -> dict[str, Any]:
        """Counters per entry, see :meth:`Endpoint.stats`."""
        return self._endpoint.read_counters()

    async def read_waiting(self) -> dict[str, float]:
        """Per entry: the seconds that calls waited for a permit."""
        return self._endpoint.seconds_waited()

    async def drain(self, timeout_s: float) -> None:
        """Send nothing more; let paid calls that are under way reach the cache, at most ``timeout_s``; then close."""
        self._endpoint.stop_sending()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)
        await self._endpoint.close()
        await self._cache.close()
        self._ledger.close()
        self._meters.publish()

    async def _answer_call(self, call: EndpointCall, queue: "asyncio.Queue[tuple[int, EndpointAnswer, str]]") -> None:
        answer, text = await self._complete_call(call)
        self._count_answer(call.request.entry, answer)
        queue.put_nowait((call.ticket, answer, text))

    async def _complete_call(self, call: EndpointCall) -> tuple[EndpointAnswer, str]:
        """The answer, and a lost call's text; every error is an answer: the caller in the worker waits for one."""
        try:
            pictures = await call.pictures if call.pictures is not None else None
            return await self._endpoint.complete(call.request, pictures), ""
        except LostCall as lost:
            return lost.failure, lost.text
        except OSError as error:
            return Refused(Failure("disk", f"the cache of replies cannot be written: {error.strerror or error}")), ""
        except Refused as refused:
            return refused, ""
        except Exception as error:  # its text may quote the request
            return Failure("internal", type(error).__name__), ""

    def _count_answer(self, entry: str, answer: EndpointAnswer) -> None:
        if isinstance(answer, Reply):
            self._meters.count_reply(entry, answer)
        else:
            failure = answer.failure if isinstance(answer, Refused) else answer
            self._meters.add_count(metrics.CALLS, 1, entry, failure.kind)

    def _set_gauges(self, meters: metrics.RunMetrics) -> None:
        """What the endpoint counts itself."""
        for entry, counted in self._endpoint.read_counters().items():
            meters.set_total(metrics.RETRIES, counted["retries"], entry)
            meters.set_level(metrics.LIMITER_QUEUE, counted["waiting"], entry)
            meters.set_level(metrics.IN_FLIGHT, counted["in_flight"], entry)
        for entry, seconds in self._endpoint.seconds_waited().items():
            meters.set_total(metrics.WAITED, seconds, entry)


def _is_stored(answer: EndpointAnswer) -> bool:
    return isinstance(answer, Reply) and answer.cached


def start_endpoint(
    entries: Mapping[str, ModelConfig],
    cache_folder: str,
    name: str,
    budget_usd: float | None = None,
    max_gb: float | None = None,
    proven: bool = False,
) -> Any:
    """Start the actor of one provider on the driver's own node, where the keys and the run's cache are.

    ``proven``: it has answered the probe.

    It takes no CPU slot: it waits for the network nearly all the time.
    """
    options = {"num_cpus": 0, "max_restarts": -1, "max_concurrency": 1000, "scheduling_strategy": own_node()}
    return (
        ray.remote(EndpointActor)
        .options(**options)
        .remote(dict(entries), cache_folder, name, budget_usd, max_gb, proven)
    )
