"""One attempt at a call: its permit, its money, the call, and what its outcome means for the others."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from mics_ray.config.schema import ModelConfig
from mics_ray.models.chat import suspend_aware_clock
from mics_ray.models.chat.breaker import OUTAGE_KINDS, Breaker
from mics_ray.models.chat.client import Chat
from mics_ray.models.chat.key_history import KeyHistory
from mics_ray.models.chat.rate_limiter import RateLimiter, RateLimits
from mics_ray.models.chat.retry import Action, Fault, RetryState
from mics_ray.models.replies.ledger import Grant, Ledger
from mics_ray.models.replies.pricing import bill_reply, bound_cost, estimate_tokens
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Failure, Pictures, Refused, Reply, Request

KEY_WIDE_KINDS = ("auth", "quota", "certificate", "proxy")
"""Refusals that concern every model behind the key."""
HARMLESS = "Reply with the one word: ready."
"""What no firewall takes offence at: the first call to a model, and what tells a refused key from refused texts."""
LEDGER_POLL_S = 0.05  # between two looks at a ledger whose rest is held back for calls under way


class EntryState:
    """One model of the provider: its limits, price and counters, and why it takes no calls, once it does not."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        limits = RateLimits(config.requests_per_minute, config.tokens_per_minute, config.max_in_flight)
        self.limiter = RateLimiter(limits)
        self.refusal: Failure | None = None
        self.calls = self.cached = self.retries = 0
        self.underestimate = 1.0
        """The largest ratio of a bill to its reservation, at least 1; later reservations are multiplied by it."""

    def refuse_calls(self, failure: Failure) -> None:
        """Take no more calls, and refuse those that wait for a permit."""
        self.refusal = failure
        self.limiter.reject_waiting(failure)

    def bill_attempt(self, outcome: Reply | Fault, held: float) -> float:
        """What an attempt is taken to have cost: what was held for it, where nobody tells and it may be charged."""
        if isinstance(outcome, Fault):
            return held if outcome.charged else 0.0
        bill = bill_reply(self.config.price, outcome)
        self.underestimate = max(self.underestimate, self.underestimate * bill / held) if held else 1.0
        # No prompt is without tokens: where half of the usage is garbage, the bill is perhaps half of it.
        return bill if outcome.prompt_tokens else max(bill, held)


class Attempts:
    """The attempts of one endpoint, whose entries share an address and a key."""

    def __init__(
        self,
        chat: Chat,
        entries: Mapping[str, ModelConfig],
        store: ReplyStore | None,
        ledger: Ledger | None,
        proven: bool,
    ) -> None:
        """See :class:`~mics_ray.models.chat.endpoint.Endpoint`."""
        self.entries = {name: EntryState(config) for name, config in entries.items()}
        self.breaker = Breaker()
        self._chat, self._store, self._ledger = chat, store, ledger
        self._history = KeyHistory(proven)

    async def attempt_call(
        self, entry: EntryState, request: Request, pictures: Pictures | None, state: RetryState, keep: bool = True
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
            if isinstance(outcome, Reply) or not self.is_outage_fault(outcome):
                state.count_attempt(suspend_aware_clock.awake_time() - started)
            if keep and isinstance(outcome, Reply):
                outcome = await self._store_priced(entry, request, outcome)
        finally:
            entry.limiter.release_permit(ticket, tokens)
            if self._ledger is not None and held:
                self._ledger.settle_usd(held, paid)
        return outcome

    async def _store_priced(self, entry: EntryState, request: Request, reply: Reply) -> Reply:
        """Store a reply with its price. Raises :class:`OSError`, and then nobody may buy another."""
        priced = reply.at_cost(bill_reply(entry.config.price, reply))
        if self._store is not None:
            try:
                await self._store.store_reply(request.key, request.model, priced)
            except OSError:
                self.refuse_all(Failure("disk", "the cache of replies cannot be written"))
                raise
        return priced

    async def _reserve_budget(self, entry: EntryState, request: Request, pictures: Pictures | None) -> float:
        """Hold back what the attempt may cost, and return it. Raises :class:`Refused` where the budget has no room."""
        if self._ledger is None:
            return 0.0
        usd = bound_cost(entry.config.price, request, pictures) * entry.underestimate
        if not usd:
            return 0.0
        while (grant := self._ledger.reserve_usd(usd)) is not Grant.YES:
            if grant is Grant.NEVER and entry.refusal is None:
                failure = Failure("budget", f"the next call may cost ${usd:.4f}, more than is left of budget_usd")
                self.refuse_all(failure)
            if entry.refusal is not None:
                raise Refused(entry.refusal)
            await asyncio.sleep(LEDGER_POLL_S)
        return usd

    async def _await_breaker(self, entry: EntryState) -> None:
        """Wait until the breaker lets this call go. Raises :class:`Refused` after a long outage, or a refusal."""
        while wait := self.breaker.seconds_to_wait(suspend_aware_clock.awake_time()):
            if entry.refusal is not None:
                raise Refused(entry.refusal)
            await asyncio.sleep(wait)
        if entry.refusal is not None:
            raise Refused(entry.refusal)

    def is_outage_fault(self, fault: Fault) -> bool:
        """Whether a call failed because the provider is out: that uses up none of its tries."""
        return self.breaker.is_open and fault.failure.kind in OUTAGE_KINDS

    async def _judge_outcome(
        self, entry: EntryState, request: Request, outcome: Reply | Fault, timeout_s: float
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
            self.breaker.record_fault(call, now)
        elif (
            not isinstance(outcome, Fault) or outcome.failure.kind != "timeout"
        ):  # a refusal or a 429 too: the provider is there
            self.breaker.record_success()
        if self.breaker.is_long_outage(now):
            failure = Failure("outage", "the provider has not answered for 10 minutes")
            self.refuse_all(failure)

    def refuse_all(self, failure: Failure) -> None:
        """Take no more calls of any entry."""
        for entry in self.entries.values():
            entry.refuse_calls(failure)

    def _apply_to_entries(self, entry: EntryState, fault: Fault) -> None:
        """Pause or refuse the calls that a fault concerns too, before its permit goes to the next of them."""
        if fault.retry_after is not None:
            entry.limiter.pause_for(fault.retry_after)
        if fault.action is Action.STOP:
            wide = fault.failure.kind in KEY_WIDE_KINDS
            for refused in self.entries.values() if wide else [entry]:
                refused.refuse_calls(fault.failure)
