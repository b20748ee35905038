"""Phantom evaluations without Ray: their configuration, a scripted model and judge, which count what they are asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.config import EvaluateJob
from mics_ray.config.compose import compose_job
from mics_ray.local.phantoms import write_cases
from mics_ray.models.types import Pictures, Reply, Request

Says = Callable[[Request], str | Reply | Exception]


def job(folder: Path, *more: str, count: int = 8) -> EvaluateJob:
    """An evaluation of the tiny intern on phantoms of its own; the judge is the simulated one."""
    if not (folder / "sets/phantom/cases.jsonl").exists():
        write_cases(folder / "sets/phantom", count, seed=77)
    chosen = ["eval=phantom", "serve=tiny", "judge=local", "model=embedded:interns/internvl"]
    return compose_job("evaluate", EvaluateJob, [*chosen, f"eval.root={folder}/sets", f"eval.dir={folder}/out", *more])


@dataclass
class Scripted:
    """A model that says what ``says`` makes of a request; an exception is raised."""

    says: Says
    asked: list[tuple[Request, Pictures | None]] = field(default_factory=list)

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        self.asked.append((request, pictures))
        said = self.says(request)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else Reply(said, prompt_tokens=7, completion_tokens=3)


def chain(answer: str, *steps: str) -> str:
    """A model's whole text."""
    written = [f"### Step {number}: {step}" for number, step in enumerate(steps, 1)]
    return "\n\n".join([*written, f"### The final answer is: {answer}"])


def models(**scripted: Scripted) -> Callable[[str], dict[str, Any]]:
    """The same models for every item."""
    return lambda _: dict(scripted)
