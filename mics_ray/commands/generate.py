"""Search reasoning chains for medical cases: mentors propose steps, interns finish from them, a judge compares."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from mics_ray.assemble.locations import list_endpoints
from mics_ray.command_line import JobCommand, run_job
from mics_ray.config.schema import Config
from mics_ray.core.display import make_printable
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, Stopped
from mics_ray.jobs.collector import spare_collector
from mics_ray.replay.replay_config import compose_job

if TYPE_CHECKING:
    from mics_ray.jobs.generation import GenerationJob
    from mics_ray.jobs.job_end import JobEnd
    from mics_ray.runtime.monitor.progress import Progress


MANY_ROWS = 50_000
"""The account of as many takes some seconds."""


def run_generate(argv: Sequence[str]) -> int:
    """Compose, check, search; returns the exit code."""
    spare_collector()
    return run_job(argv, __doc__ or "", JobCommand("generate", Config, generate, "run.dir", _check, compose_job))


def run_preflight(argv: Sequence[str]) -> int:
    """The same job, checked and estimated only."""
    return run_generate([*argv, "preflight=true"])


def _check(config: Config) -> None:
    from mics_ray.assemble.checks import check_job

    if not config.replay:  # a replay reaches nobody, so it has checks of its own
        check_job(config)


def generate(config: Config) -> int:
    """Run the job that ``config`` describes."""
    if config.replay:
        return _replay_run(config)
    # Each import waits until it is needed: a wrong configuration is refused before the HTTP client and Ray are loaded.
    _check(config)
    from mics_ray.assemble.entry_checks import list_warnings
    from mics_ray.io.shards.kind import ShardError
    from mics_ray.jobs.generation import prepare_generation, uses_simulated_models
    from mics_ray.jobs.job_end import JobEnd
    from mics_ray.jobs.run_account import account_for_run
    from mics_ray.models.prompts import list_template_warnings
    from mics_ray.runtime.monitor.logs import log_into_folder
    from mics_ray.runtime.monitor.progress import Progress

    progress, console = Progress(), Console()
    for warning in [*list_warnings(config), *list_template_warnings(config.prompts)]:
        console.print(warning, style="yellow", markup=False, highlight=False, soft_wrap=True)
    with prepare_generation(config) as job:
        log_into_folder(job.folder.logs, "driver")
        progress.show_phase(f"{job.records} records in {job.scan.name}: {job.pending} to do")
        if config.preflight:
            return _report_preflight(config, job, console)
        end = JobEnd(EXIT_OK, "")
        # A run with nothing left to do asks no model, so starting it again costs nothing.
        if job.pending:
            job, end = _search_pending(job, progress)
        if job.records >= MANY_ROWS:
            progress.show_phase("adding up the rows of the run")
        try:
            end, summary = account_for_run(job, end, uses_simulated_models(config))
            progress.show_phase(f"ended with exit code {end.code} {end.message}")
            _show_end(console, job, end, summary)
        except ShardError as error:
            Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False)
            return end.code or EXIT_CANNOT_WRITE
    return end.code


def _search_pending(job: "GenerationJob", progress: "Progress") -> "tuple[GenerationJob, JobEnd]":
    """Search what has no row; the job without the failed rows that are searched again, and how it ended."""
    from mics_ray.assemble.aside import run_aside
    from mics_ray.assemble.locations import needs_hub_token
    from mics_ray.jobs.generation import begin_retry, serve_simulated_models
    from mics_ray.runtime.driver.cluster import join_cluster

    with serve_simulated_models(job.config, job.folder) as served:
        if asked := len(list_endpoints(served)):
            progress.show_phase(f"asking {asked} models for one word each, as the run will ask them")
        # Side by side: Ray's own processes take as long to start as the models to answer.
        with run_aside(_prepare_search(served, job)) as prepare, join_cluster(served.ray, needs_hub_token(served)):
            search_job, proven = prepare()
            job, retried = begin_retry(job)
            if retried:
                progress.show_phase(f"{retried} failed rows are replaced; {job.folder.superseded} keeps them")
            return job, search_job(job.use_config(replace(served, retry_failed=False), proven), progress)


def _replay_run(config: Config) -> int:
    from mics_ray.jobs.stop_signal import StopSignal
    from mics_ray.replay.account import print_account
    from mics_ray.replay.run import replay_run
    from mics_ray.runtime.monitor.progress import Progress

    console, stop = Console(highlight=False), StopSignal()
    try:
        with stop.handle_signals(), stop.raise_on_signal():
            account = replay_run(config, Progress(), stop)
    except Stopped as stopped:
        console.print(f"{stopped}; the rows so far are kept", style="yellow", soft_wrap=True)
        return stopped.code
    except OSError as error:
        console.print(f"cannot write {error.filename or config.run.dir}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    print_account(console, account)
    return account.exit_code


async def _prepare_search(served: Config, job: "GenerationJob") -> "tuple[Callable[..., JobEnd], frozenset[str]]":
    """The driver, which loads while Ray's processes do, and the providers that have answered."""
    proven = await _probe_models(served, job)
    from mics_ray.runtime.driver.run import search_job

    return search_job, proven


async def _probe_models(served: Config, job: "GenerationJob") -> frozenset[str]:
    from mics_ray.assemble.probe import probe_models
    from mics_ray.models.replies.ledger import Ledger

    with closing(Ledger(job.folder.cache, "probe", served.budget_usd)) as ledger:
        return await probe_models(served, ledger, job.shows_pictures())


def _report_preflight(config: Config, job: "GenerationJob", console: Console) -> int:
    from mics_ray.jobs.generation import serve_simulated_models
    from mics_ray.runtime.driver.preflight import print_report

    with serve_simulated_models(job.config, job.folder) as served:
        asyncio.run(_probe_models(served, job))
    print_report(console, job)
    return EXIT_OK


def _show_end(console: Console, job: "GenerationJob", end: "JobEnd", summary: Mapping[str, Any]) -> None:
    from mics_ray.runtime.monitor.run_summary_view import print_run_summary

    print_run_summary(console, job.folder, summary)
    if end.message:
        # The last line, and where errors are looked for: a log of a cluster is read from its end.
        last = Console(stderr=True, highlight=False, soft_wrap=True)
        last.print(make_printable(end.message), style="yellow", markup=False)
