"""One OpenAI-compatible provider: stored replies, coalescing, quotas, retries and money around the chat client."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mics_ray.config.schema import ModelConfig
from mics_ray.models.chat.attempts import Attempts, EntryState
from mics_ray.models.chat.client import Chat, ChatClient, Headers
from mics_ray.models.chat.retry import Fault, RetryState
from mics_ray.models.replies.ledger import Ledger
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Failure, Pictures, Reply, Request

PROBE_S = 20.0  # a check before the run must not hold its start up for long; a slow provider is no bad one
PROBE_WAIT_S = 70.0  # for a limit a minute to let the probe through


@dataclass(slots=True, eq=False)
class _CallUnderWay:
    """A call under way and how many wait for it; the first to receive the reply accounts for its cost."""

    task: asyncio.Task[Reply]
    waiters: int = 0
    accounted: bool = False


def make_client(entries: Mapping[str, ModelConfig], key: str | None, secret_headers: Headers | None) -> ChatClient:
    """The client of entries that share an address. Raises :class:`ValueError` for a forbidden one."""
    bounds = [config.max_in_flight for config in entries.values()]
    connections = 0 if None in bounds else sum(bound for bound in bounds if bound)
    headers = {name: config.headers for name, config in entries.items()}
    allow_http = any(config.allow_http for config in entries.values())
    address = next(iter(entries.values())).base_url or ""
    return ChatClient(address, key, connections, headers, secret_headers, allow_http)


class Endpoint:
    """Entries that share an address and a key. Lives in one event loop.

    ``complete`` raises :class:`Refused` and :class:`LostCall`, and ``OSError`` where the reply store
    cannot be written.
    """

    def __init__(
        self,
        entries: Mapping[str, ModelConfig],
        key: str | None,
        cache: ReplyStore | None,
        ledger: Ledger | None = None,
        secret_headers: Headers | None = None,
        proven: bool = False,
        chat: Chat | None = None,
    ) -> None:
        """``key`` is the secret itself, and so are the values of ``secret_headers``, by entry. ``proven``: the key has
        had an answer before. ``chat``: the client to ask through; one of its own where it is left out. Raises
        :class:`ValueError` for several addresses or a forbidden one.
        """
        if len({config.base_url for config in entries.values()}) != 1:
            raise ValueError("the entries of an endpoint share one base_url")
        self._chat = chat or make_client(entries, key, secret_headers)
        self._attempts = Attempts(self._chat, entries, cache, ledger, proven)
        self._cache = cache
        self._under_way: dict[bytes, _CallUnderWay] = {}

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """Answer from the cache, from the same call already under way, or by a paid call."""
        entry = self._attempts.entries[request.entry]
        if self._cache is not None and (stored := self._cache.find_reply(request.key)) is not None:
            entry.cached += 1
            return stored
        call = self._under_way.get(request.key)
        if call is None:
            task = asyncio.create_task(self._retry_until_reply(entry, request, pictures))
            call = self._under_way[request.key] = _CallUnderWay(task)
        reply = await self._await_reply(request.key, call)
        if not call.accounted:
            call.accounted = True
            return reply
        entry.cached += 1
        return replace(reply, cached=True, cost_usd=0.0)

    async def probe_entry(self, request: Request, pictures: Pictures | None = None) -> Reply | Fault:
        """Ask as the run will ask, without the cache; a rate limit is waited for, :data:`PROBE_WAIT_S` at most.

        Other trouble is returned as it comes. Raises :class:`Refused` where the call must not be made.
        """
        entry, waited, state = self._attempts.entries[request.entry], 0.0, RetryState(request.key, 2 * PROBE_S)
        while True:
            outcome = await self._attempts.attempt_call(entry, request, pictures, state, keep=False)
            if not isinstance(outcome, Fault) or outcome.failure.kind != "rate_limit":
                return outcome
            waited += (pause := outcome.retry_after or 2.0)
            if waited > PROBE_WAIT_S:
                return outcome
            await asyncio.sleep(pause)

    def read_counters(self) -> dict[str, dict[str, int]]:
        """Per entry: attempts sent (``calls``, of them ``retries``), answers that cost nothing (``cached``), queues."""
        return {
            name: {
                "calls": entry.calls,
                "cached": entry.cached,
                "retries": entry.retries,
                "in_flight": entry.limiter.queue.in_flight,
                "waiting": entry.limiter.queue.waiting,
            }
            for name, entry in self._attempts.entries.items()
        }

    def seconds_waited(self) -> dict[str, float]:
        """Per entry: the seconds that calls have waited for a permit, those that still wait left out."""
        return {name: entry.limiter.waited_s for name, entry in self._attempts.entries.items()}

    def stop_sending(self) -> None:
        """Send nothing more: calls that wait for a permit are refused, those that were sent end as usual."""
        self._attempts.refuse_all(Failure("stopped", "the run is stopping"))

    async def close(self) -> None:
        """End the calls under way and close the connections; the reply store stays open, it is the caller's."""
        tasks = [call.task for call in self._under_way.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._chat.close()

    async def _await_reply(self, key: bytes, call: _CallUnderWay) -> Reply:
        call.waiters += 1
        try:
            return await asyncio.shield(call.task)  # one waiter that is cancelled must not end it for the others
        finally:
            call.waiters -= 1
            if not call.waiters:  # the call is over, or nobody wants its reply any more
                del self._under_way[key]
                call.task.cancel()

    async def _retry_until_reply(self, entry: EntryState, request: Request, pictures: Pictures | None) -> Reply:
        state = RetryState(request.key, entry.config.deadline_s)
        outcome = await self._attempts.attempt_call(entry, request, pictures, state)
        while isinstance(outcome, Fault):
            if not self._attempts.is_outage_fault(outcome):  # an outage of the provider is not the call's fault
                await asyncio.sleep(state.delay_after(outcome))
            outcome = await self._attempts.attempt_call(entry, request, pictures, state)
        return outcome
