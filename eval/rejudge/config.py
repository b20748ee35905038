"""The schema of asking another judge."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from mics_ray.config.schema import CacheConfig, ModelConfig, RunConfig


@dataclass
class RejudgeConfig:
    """Where its verdicts go."""

    name: str | None = None  # of the folder under run.dir/rejudge; None: the name that `judge=` chose


@dataclass
class RejudgeJob:
    """Another judge over the run in ``run.dir``. The wording is the run's; the judge does not sample."""

    judge: ModelConfig = MISSING
    run: RunConfig = field(default_factory=RunConfig)
    rejudge: RejudgeConfig = field(default_factory=RejudgeConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    window: int = 64  # open cases at a time
    budget_usd: float | None = None  # hard cap on what this re-judgement may spend, earlier sessions included
