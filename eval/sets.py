"""Which split of a benchmark is evaluated, where it has several."""

from dataclasses import replace

from eval.config import EvaluateJob


def find_set_problems(job: EvaluateJob) -> list[str]:
    """What is wrong with ``eval.set``, a line; empty where a chosen benchmark has that set, or none is asked for."""
    chosen, wanted = job.eval.benchmarks, job.eval.set
    if wanted is None or any(wanted in one.sets for one in chosen.values()):
        return []
    known = "; ".join(f"{name}: {', '.join(one.sets)}" for name, one in chosen.items() if one.sets)
    return [f"eval.set: no chosen benchmark has a set {wanted!r}; there is {known or 'none to choose'}"]


def choose_set(job: EvaluateJob) -> EvaluateJob:
    """The same with ``eval.set`` as the split of the benchmarks that have it; the others keep theirs."""
    wanted = job.eval.set
    if wanted is None:
        return job
    benchmarks = {
        name: replace(one, split=wanted) if wanted in one.sets else one for name, one in job.eval.benchmarks.items()
    }
    return replace(job, eval=replace(job.eval, benchmarks=benchmarks))
