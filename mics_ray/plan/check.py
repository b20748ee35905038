"""What a plan refuses. No key, no input and no address is needed on paper, so none is asked for."""

from collections.abc import Sequence

from mics_ray.assemble.checks import find_size_problems
from mics_ray.errors import RefusedRun
from mics_ray.plan.config import PlanConfig, PlanJob
from mics_ray.runtime.serving.placement import ClusterNode, find_placement_problems, list_needs


def check(job: PlanJob) -> None:
    """Refuse numbers that make no sense. Raises :class:`RefusedRun` with every problem found."""
    problems = [
        *find_size_problems(job),
        *(f"plan.{name}: {value} is below 1" for name, value in _least(job.plan).items() if value < 1),
        *(f"{role}: none given" for role in ("mentors", "interns") if not getattr(job, role)),
    ]
    for role in ("mentor", "intern", "judge"):
        if getattr(job.plan, role).seconds <= 0:
            problems.append(f"plan.{role}.seconds: must be above 0")
    if problems:
        raise RefusedRun("\n".join(problems))


def _least(plan: PlanConfig) -> dict[str, float]:
    counts = {f"nodes.{number}.count": machine.count for number, machine in enumerate(plan.nodes)}
    return {"cases": plan.cases, "sample": plan.sample, "intern.per_replica": plan.intern.per_replica, **counts}


def on_paper(plan: PlanConfig) -> list[ClusterNode]:
    """The nodes that the plan names, numbered through."""
    sizes = [machine for machine in plan.nodes for _ in range(machine.count)]
    return [ClusterNode(f"n{number}", size.gpus, size.cpus, f"n{number}") for number, size in enumerate(sizes, 1)]


def refuse_what_does_not_fit(job: PlanJob, nodes: Sequence[ClusterNode], on_gpu: bool) -> None:
    """Raises :class:`RefusedRun` with the sum when the nodes cannot hold the least number of replicas."""
    if problems := find_placement_problems(list_needs(job.interns, on_gpu), nodes):
        raise RefusedRun("; ".join(problems))
