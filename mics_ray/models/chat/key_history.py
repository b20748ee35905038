"""What a key's past says about a refusal: one that has answered is not wrong because a single call is refused.

Pure, with the time (seconds of any one clock) as an argument.
"""

from dataclasses import replace

from mics_ray.models.chat.classify import MINUTE_S
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.types import Failure

MOST_BLOCKED = 5  # different calls in a row: then it may not be their text
MOST_PARKS = 2  # minutes in a row without a success: then it is not a limit a minute


class KeyHistory:
    """The successes and doubtful refusals of one key."""

    def __init__(self, proven: bool = False) -> None:
        """``proven``: it has had an answer before, such as at the probe."""
        self._proven = proven
        self._blocked: set[bytes] = set()
        self._parks = 0
        self._parked_until = float("-inf")

    @property
    def is_blocked(self) -> bool:
        """Whether so many different calls in a row were refused that the key itself may be."""
        return len(self._blocked) >= MOST_BLOCKED

    def record_success(self) -> None:
        """The key works."""
        self._proven = True
        self._blocked.clear()
        self._parks = 0

    def judge_fault(self, fault: Fault, call: bytes, now: float) -> Fault:
        """What a fault of ``call`` means for a key with this past; one that is not doubtful means what it says."""
        if not fault.doubtful or not self._proven:
            return fault
        if fault.failure.kind == "auth":
            return self._judge_block(fault, call)
        if fault.failure.kind == "certificate":  # it was good before: somebody is in the way, or renews it
            return replace(fault, action=Action.AGAIN, failure=Failure("connection", fault.failure.message))
        return self._judge_limit(fault, now)

    def _judge_block(self, fault: Fault, call: bytes) -> Fault:
        """A firewall between us and the provider refuses single texts."""
        self._blocked.add(call)
        message = f"{fault.failure.message}, a key that worked before"
        if self.is_blocked:
            return replace(fault, failure=Failure("auth", f"{message}, for {MOST_BLOCKED} different calls in a row"))
        return replace(fault, action=Action.LOSE, failure=Failure("blocked", message))

    def _judge_limit(self, fault: Fault, now: float) -> Fault:
        """Some providers call a limit a minute by the name of a quota that is used up."""
        wait = MINUTE_S if fault.retry_after is None else fault.retry_after
        if now >= self._parked_until:  # else it was sent before the entry was parked
            self._parks += 1
            self._parked_until = now + wait
        if self._parks > MOST_PARKS:
            return replace(fault, action=Action.STOP, failure=Failure("quota", fault.failure.message))
        return replace(
            fault, action=Action.AGAIN, failure=Failure("rate_limit", fault.failure.message), retry_after=wait
        )
