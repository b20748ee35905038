"""What `scripts/plan.py` reads besides a generation job."""

from dataclasses import dataclass, field

from mics_ray.config.schema import Config


@dataclass
class NodeSize:
    """``count`` nodes of one size."""

    gpus: float = 0.0
    cpus: float = 1.0
    count: int = 1
    accelerator: str | None = None  # Ray's name of its GPUs: H100, A100, L4


@dataclass
class AssumedCall:
    """One call of a role, where no run was recorded: seconds, tokens, and calls that one replica works on at a time."""

    seconds: float = 1.0
    prompt_tokens: int = 1500
    completion_tokens: int = 300
    per_replica: int = 32


@dataclass
class PlanConfig:
    """The question: how many cases, on which nodes, with latencies from where."""

    cases: int = 1000
    nodes: list[NodeSize] = field(default_factory=list)  # none: the cluster at `ray.address`, or no GPU
    run: str | None = None  # a finished run's folder, for its latencies, tokens and searches
    sample: int = 600  # cases that are simulated; more of them make the figures steadier
    mentor: AssumedCall = field(default_factory=lambda: AssumedCall(20.0, 2500, 600))
    intern: AssumedCall = field(default_factory=lambda: AssumedCall(8.0, 3000, 300, 32))
    judge: AssumedCall = field(default_factory=lambda: AssumedCall(1.0, 300, 3))


@dataclass
class PlanJob(Config):
    """A generation job and the question about it."""

    plan: PlanConfig = field(default_factory=PlanConfig)
