"""An evaluation from its configuration to its report."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from eval.config import EvaluateJob
from mics_ray.errors import EXIT_OK, EXIT_STOPPED

if TYPE_CHECKING:
    from eval.prepare import Work
    from mics_ray.jobs.job_end import JobEnd
    from mics_ray.runtime.monitor.progress import Progress

Answering = Callable[["Work", "Progress"], "JobEnd"]
"""How pending items are answered and committed."""


def answer_on_ray(work: "Work", progress: "Progress") -> "JobEnd":
    """Answer on a Ray cluster, with the simulated judge beside it where one is configured. Raises ``RefusedRun``."""
    from mics_ray.assemble.entry_checks import list_warnings
    from mics_ray.assemble.probe import probe_models
    from mics_ray.jobs.generation import serve_simulated_models

    with serve_simulated_models(work.config, work.folder) as served:
        for warning in list_warnings(work.config):
            progress.show_phase(warning)
        progress.show_phase("asking the judge for one word")
        proven = asyncio.run(probe_models(served))
        from eval.examine import answer_pending
        from mics_ray.assemble.locations import needs_hub_token
        from mics_ray.runtime.driver.cluster import join_cluster

        with join_cluster(served.ray, needs_hub_token(served)):
            return answer_pending(work.use_config(served, proven), progress)


def evaluate_model(job: EvaluateJob, answering: Answering = answer_on_ray) -> int:
    """Answer what is not answered yet, then write the report; returns the exit code. Raises :class:`RefusedRun`."""
    # Each import waits until it is needed: a wrong configuration is refused before the HTTP client and Ray are loaded.
    from eval.prepare import check_job, prepare_evaluation

    check_job(job)
    from eval.progress import print_evaluation
    from eval.reports.report import write_evaluation_report
    from mics_ray.runtime.monitor.logs import log_into_folder
    from mics_ray.runtime.monitor.progress import Progress

    if job.eval.bert_score_model is not None:
        from eval.bert_score import load_scorer

        load_scorer(job.eval.bert_score_model, job.eval.bert_score_layers)
    progress, console = Progress(), Console()
    with prepare_evaluation(job) as work:
        log_into_folder(work.folder.logs, "driver")
        progress.show_phase(f"{work.total} items of {', '.join(job.eval.benchmarks)}: {len(work.pending)} to answer")
        code, message = EXIT_OK, ""
        if work.pending:
            end = answering(work, progress)
            code, message = end.code, end.message
        if code == EXIT_OK:
            report = write_evaluation_report(work.folder.root)
            print_evaluation(console, work, report)
            if doubts := find_doubts(report):
                code, message = EXIT_STOPPED, "\n".join(doubts)
        progress.show_phase(f"ended with exit code {code} {message}")
    return code


def find_doubts(report: Mapping[str, Any]) -> list[str]:
    """Why an evaluation that has a row for every item says nothing of the model, a line each; empty where it does."""
    return [
        f"{name}: none of its {found['items']} items has a verdict; their rows say why, and another eval.dir asks again"
        for name, found in report["benchmarks"].items()
        if found["items"] and found["lost"] == found["items"]
    ]
