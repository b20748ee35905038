"""What calls to one model amount to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls, tokens and US dollars. ``cached_calls`` are part of ``calls``; only the others were sent and paid."""

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_usd + other.cost_usd,
        )
