"""What a person watches of a run: its figures at one moment, wherever they were read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class ModelView:
    """One model: answered calls, tokens, US dollars, and what waits. ``None`` is not known here."""

    replies: float = 0.0
    cached: float = 0.0
    """Replies that cost nothing; part of ``replies``."""
    failures: Counter[str] | None = None
    """Calls that gave no reply, by kind."""
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    cost_usd: float = 0.0
    retries: float | None = None
    waited_s: float | None = None
    queue: float | None = None
    """Calls at the limiter, or requests asked of a model served here and not answered."""
    in_flight: float | None = None
    """Calls that a provider or a model's replicas work on."""
    prompts: float = 0.0
    hits: float = 0.0
    """Prompt tokens that our replicas saw, and those of them in their prefix caches."""
    cached_tokens: float = 0.0
    """Of ``prompt_tokens``: in a provider's prefix cache."""

    @property
    def hit_share(self) -> float | None:
        """The share of prompt tokens that came from the prefix cache: our replicas' or, where it told, a provider's."""
        if self.prompts:
            return self.hits / self.prompts
        return self.cached_tokens / self.prompt_tokens if self.cached_tokens and self.prompt_tokens else None


@dataclass
class RunView:
    """One run. ``state`` says in words whether it runs; ``total`` is the number of records, where it is known."""

    run: str
    state: str
    total: int | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    quality: Counter[str] = field(default_factory=Counter)
    models: dict[str, ModelView] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    """Lost votes and candidates by failure kind."""
    open: float | None = None
    lag_s: float | None = None
    """Mean seconds from a search's end to its committed shard."""
    recent: list[Mapping[str, object]] = field(default_factory=list)
    """The last lines of the case log."""
    notes: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Committed cases."""
        return int(sum(self.outcomes.values()))

    @property
    def cost_usd(self) -> float:
        """US dollars over all models."""
        return sum(model.cost_usd for model in self.models.values())

    def find_model(self, name: str) -> ModelView:
        """The view of one model, made when it is first mentioned."""
        return self.models.setdefault(name, ModelView())
