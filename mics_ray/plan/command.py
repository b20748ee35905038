"""Plan a generation job on paper: which model goes where, what binds, cases an hour, money, and what more would bring.

The arguments of `generate.py`, and `plan.cases=N`, `plan.nodes=[{gpus:8,cpus:64,count:8}]` (or `ray.address=…` for a
cluster that is there), `plan.run=FOLDER` for the latencies of a finished run.
"""

from collections.abc import Sequence

from rich.console import Console

from mics_ray.command_line import JobCommand, run_job
from mics_ray.errors import EXIT_OK
from mics_ray.plan.config import PlanJob


def main(argv: Sequence[str]) -> int:
    """Compose, simulate, print; returns the exit code."""
    return run_job(argv, __doc__ or "", JobCommand("plan", PlanJob, show_plan))


def show_plan(job: PlanJob) -> int:
    """Print the plan of ``job``. Raises :class:`mics_ray.errors.RefusedRun`."""
    # Imports wait until they are needed: `--help` and a wrong override answer before the runtime is loaded.
    from mics_ray.plan.advise import list_nodes, make_plan, refuse_numbers, refuse_what_does_not_fit

    refuse_numbers(job)
    nodes, on_gpu = list_nodes(job.plan), bool(job.plan.nodes)
    if not job.plan.nodes and job.ray.address is not None:
        from mics_ray.runtime.driver.cluster import join_cluster
        from mics_ray.runtime.serving.model_actors import cluster_nodes, has_gpus

        with join_cluster(job.ray):
            nodes = cluster_nodes()
        on_gpu = has_gpus(nodes)
    refuse_what_does_not_fit(job, nodes, on_gpu)
    # A recorded run may hold a hundred thousand rows: it is read when all else is known to be in order.
    from mics_ray.plan.measured_run import load_basis
    from mics_ray.plan.report import print_plan

    print_plan(Console(), make_plan(job, job.plan, load_basis(job, job.plan), nodes, on_gpu), job.plan, nodes)
    return EXIT_OK
