"""One OpenAI-compatible provider: stored replies, coalescing, quotas, retries and money around the chat client."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mics_ray.config.schema import ModelConfig
from mics_ray.models.chat import suspend_aware_clock
from mics_ray.models.chat.breaker import OUTAGE_KINDS, Breaker
from mics_ray.models.chat.client import Chat, ChatClient, Headers
from mics_ray.models.chat.key_history import KeyHistory
from mics_ray.models.chat.rate_limiter import RateLimiter, RateLimits
from mics_ray.models.chat.retry import Action, Fault, RetryState
from mics_ray.models.replies.ledger import Grant, Ledger
from mics_ray.models.replies.pricing import bill_reply, bound_cost, estimate_tokens
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Failure, Pictures, Refused, Reply, Request

PROBE_S = 20.0  # a check before the run must not hold its start up for long; a slow provider is no bad one
PROBE_WAIT_S = 70.0  # for a limit a minute to let the probe through
KEY_WIDE_KINDS = ("auth", "quota", "certificate", "proxy")
"""Refusals that concern every model behind the key."""
HARMLESS = "Reply with the one word: ready."
"""What no firewall takes offence at: the first call to a model, and what tells a refused key from refused texts."""
LEDGER_POLL_S = 0.05  # between two looks at a ledger whose rest is held back for calls under way


class _EntryState:
    """One model of the provider: its limits, price and counters, and why it takes no calls, once it does not."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        limits = RateLimits(config.requests_per_minute, config.tokens_per_minute, config.max_in_flight)
        self.limiter = RateLimiter(limits)
        self.refusal: Failure | None = None
        self.calls = self.cached = self.retries = 0
        self.underestimate = 1.0
        """The largest ratio of a bill to its reservation, at least 1; later reservations are multiplied by it."""

    def bill_attempt(self, outcome: Reply | Fault, held: float) -> float:
        """What an attempt is taken to have cost: what was held for it, where nobody tells and it may be charged."""
        if isinstance(outcome, Fault):
            return held if outcome.charged else 0.0
        bill = bill_reply(self.config.price, outcome)
        self.underestimate = max(self.underestimate, self.underestimate * bill / held) if held else 1.0
        # No prompt is without tokens: where half of the usage is garbage, the bill is perhaps half of it.
        return bill if outcome.prompt_tokens else max(bill, held)


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
        self._entries = {name: _EntryState(config) for name, config in entries.items()}
        self._cache = cache
        self._ledger = ledger
        self._breaker = Breaker()
        self._history = KeyHistory(proven)
        self._under_way: dict[bytes, _CallUnderWay] = {}

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """Answer from the cache, from the same call already under way, or by a paid call."""
        entry = self._entries[request.entry]
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
        entry, waited, state = self._entries[request.entry], 0.0, RetryState(request.key, 2 * PROBE_S)
        while True:
            outcome = await self._attempt_call(entry, request, pictures, state, keep=False)
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
            for name, entry in self._entries.items()
        }

    def seconds_waited(self) -> dict[str, float]:
        """Per entry: the seconds that calls have waited for a permit, those that still wait left out."""
        return {name: entry.limiter.waited_s for name, entry in self._entries.items()}

    def stop_sending(self) -> None:
        """Send nothing more: calls that wait for a permit are refused, those that were sent end as usual."""
        self._refuse_entries(self._entries.values(), Failure("stopped", "the run is stopping"))

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

    async def _retry_until_reply(self, entry: _EntryState, request: Request, pictures: Pictures | None) -> Reply:
        state = RetryState(request.key, entry.config.deadline_s)
        outcome = await self._attempt_call(entry, request, pictures, state)
        while isinstance(outcome, Fault):
            if not self._is_outage_fault(outcome):  # an outage of the provider is not the call's fault
                await asyncio.sleep(state.delay_after(outcome))
            outcome = await self._attempt_call(entry, request, pictures, state)
        return outcome

    async def _store_priced(self, entry: _EntryState, request: Request, reply: Reply) -> Reply:
        """Store a reply with its price. Raises :class:`OSError`, and then nobody may buy another."""
        priced = replace(reply, cost_usd=bill_reply(entry.config.price, reply))
        if self._cache is not None:
            try:
                await self._cache.store_reply(request.key, request.model, priced)
            except OSError:
                self._refuse_entries(self._entries.values(), Failure("disk", "the cache of replies cannot be written"))
                raise
        return priced

    async def _attempt_call(
        self, entry: _EntryState, request: Request, pictures: Pictures | None, state: RetryState, keep: bool = True
    ) -> Reply | Fault:
        """One attempt under a permit; an attempt without a reply is taken to have used what was reserved.

        The permit is held until the reply is on disk: what a crash may lose is bounded by the calls allowed in flight.
        """
        if entry.refusal is not None:
            raise Refused(entry.refusal)
        tokens = estimate_tokens(request, pictures)
        ticket = await entry.limiter.acquire_permit(tokens)
        try:
            await self._await_breaker(entry)  # it may have opened while this call waited for its permit
            held = await self._reserve_budget(entry, request, pictures)
        except BaseException:
            entry.limiter.release_permit(ticket, 0.0)
            raise
        entry.calls += 1
        entry.retries += state.attempts > 0
        started = suspend_aware_clock.awake_time()
        paid = held  # an attempt that is cut off may be charged
        try:
            outcome = await self._chat.attempt_call(request, pictures, state.attempt_s)
            outcome, extra_usd = await self._judge_outcome(entry, request, outcome, state.attempt_s)
            if isinstance(outcome, Reply):
                tokens = outcome.prompt_tokens + outcome.completion_tokens or tokens
            else:
                self._apply_to_entries(entry, outcome)
            paid = entry.bill_attempt(outcome, held) + extra_usd
            self._feed_breaker(request.key, outcome)
            if isinstance(outcome, Reply) or not self._is_outage_fault(outcome):
                state.count_attempt(suspend_aware_clock.awake_time() - started)
            if keep and isinstance(outcome, Reply):
                outcome = await self._store_priced(entry, request, outcome)
        finally:
            entry.limiter.release_permit(ticket, tokens)
            if self._ledger is not None and held:
                self._ledger.settle_usd(held, paid)
        return outcome

    async def _reserve_budget(self, entry: _EntryState, request: Request, pictures: Pictures | None) -> float:
        """Hold back what the attempt may cost, and return it. Raises :class:`Refused` where the budget has no room."""
        usd = bound_cost(entry.config.price, request, pictures) * entry.underestimate
        if self._ledger is None or not usd:
            return 0.0
        while (grant := self._ledger.reserve_usd(usd)) is not Grant.YES:
            if grant is Grant.NEVER and entry.refusal is None:
                failure = Failure("budget", f"the next call may cost ${usd:.4f}, more than is left of budget_usd")
                self._refuse_entries(self._entries.values(), failure)
            if entry.refusal is not None:
                raise Refused(entry.refusal)
            await asyncio.sleep(LEDGER_POLL_S)
        return usd

    async def _await_breaker(self, entry: _EntryState) -> None:
        """Wait until the breaker lets this call go. Raises :class:`Refused` after a long outage, or a refusal."""
        while wait := self._breaker.seconds_to_wait(suspend_aware_clock.awake_time()):
            if entry.refusal is not None:
                raise Refused(entry.refusal)
            await asyncio.sleep(wait)
        if entry.refusal is not None:
            raise Refused(entry.refusal)

    def _is_outage_fault(self, fault: Fault) -> bool:
        return self._breaker.is_open and fault.failure.kind in OUTAGE_KINDS

    async def _judge_outcome(
        self, entry: _EntryState, request: Request, outcome: Reply | Fault, timeout_s: float
    ) -> tuple[Reply | Fault, float]:
        """The outcome in the light of what this key has had answered before, and the US dollars that finding out cost.

        Where single texts are blocked by a firewall, one case alone makes many different calls: before the run is ended
        for them, something harmless is asked.
        """
        if not isinstance(outcome, Fault):
            self._history.record_success()
            return outcome, 0.0
        now = suspend_aware_clock.awake_time()
        judged = self._history.judge_fault(outcome, request.key, now)
        if judged.failure.kind != "auth" or not self._history.is_blocked or not judged.doubtful:
            return judged, 0.0
        harmless = replace(request, system="", text=HARMLESS, pictures="")
        answered = await self._chat.attempt_call(harmless, None, timeout_s)
        if isinstance(answered, Fault):
            return judged, 0.0
        self._history.record_success()
        return self._history.judge_fault(outcome, request.key, now), bill_reply(entry.config.price, answered)

    def _feed_breaker(self, call: bytes, outcome: Reply | Fault) -> None:
        """Tell the breaker; an outage beyond its bound ends the calls of every entry."""
        now = suspend_aware_clock.awake_time()
        if isinstance(outcome, Fault) and outcome.failure.kind in OUTAGE_KINDS:
            self._breaker.record_fault(call, now)
        elif (
            not isinstance(outcome, Fault) or outcome.failure.kind != "timeout"
        ):  # a refusal or a 429 too: the provider is there
            self._breaker.record_success()
        if self._breaker.is_long_outage(now):
            failure = Failure("outage", "the provider has not answered for 10 minutes")
            self._refuse_entries(self._entries.values(), failure)

    @staticmethod
    def _refuse_entries(entries: Iterable[_EntryState], failure: Failure) -> None:
        """Take no more calls, and refuse those that wait for a permit."""
        for entry in entries:
            entry.refusal = failure
            entry.limiter.reject_waiting(failure)

    def _apply_to_entries(self, entry: _EntryState, fault: Fault) -> None:
        """Pause or refuse the calls that a fault concerns too, before its permit goes to the next of them."""
        if fault.retry_after is not None:
            entry.limiter.pause_for(fault.retry_after)
        if fault.action is Action.STOP:
            wide = fault.failure.kind in KEY_WIDE_KINDS
            self._refuse_entries(self._entries.values() if wide else [entry], fault.failure)
