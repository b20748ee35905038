"""From a finished search and another judge to its verdicts and the report."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.text import Text

from eval.rejudge.account import SCHEMA, Account
from eval.rejudge.ask import AskedJudge, Heard, PaidCalls, ask_judge, build_endpoint
from eval.rejudge.config import RejudgeJob
from eval.rejudge.report import render_rejudgement
from eval.rejudge.run_rules import COLUMNS, Rules, read_rules
from mics_ray.assemble.checks import find_budget_problems, find_model_problems
from mics_ray.assemble.entry_checks import list_warnings
from mics_ray.assemble.locations import JUDGE
from mics_ray.assemble.probe import probe_models
from mics_ray.config.schema import Config, Engine, SearchConfig
from mics_ray.core.types import Usage
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import has_shards, iter_rows
from mics_ray.jobs.generation import serve_simulated_models
from mics_ray.jobs.job_end import ENDS, JobEnd, describe_end, describe_model
from mics_ray.jobs.run_folder import RunFolder, hold_folder
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.models.replies.closing import tidy_folder
from mics_ray.models.replies.ledger import Ledger, read_spent_usd
from mics_ray.models.replies.reply_store import GB, ReplyStore
from mics_ray.models.roles import UsageMeter
from mics_ray.private_files import make_private_folder, replace_file, write_private
from mics_ray.runtime.monitor.logs import log_into_folder
from mics_ray.runtime.monitor.progress import Progress

ACCOUNT = "rejudge"
"""The one account of a re-judgement's own ledger, which lies beside its report."""
GROUP = 2000
"""Rows of verdicts that are written at a time."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What is asked, of whom, and where the answers go."""

    config: Config
    rules: Rules
    folder: RunFolder
    place: Path
    cases: int
    proven: bool


def rejudge_run(job: RejudgeJob) -> int:
    """Ask about every recorded answer and write the report; returns the exit code. Raises :class:`RefusedRun`."""
    run = Path(job.run.dir)
    if not has_shards(run / "results"):
        raise RefusedRun(f"run.dir: no results in {run}; is it a run.dir of scripts/generate.py?")
    found = read_rules(run)
    config = _build_config(job, found)
    if problems := [*find_model_problems(config), *find_budget_problems(config)]:
        raise RefusedRun("\n".join(problems))
    with hold_folder(job.run.dir, "run.dir") as folder:
        log_into_folder(folder.logs, "rejudge")
        cases = _count_cases(folder.results)
        place = folder.root / "rejudge" / _name_folder(job)
        make_private_folder(place)
        with (
            serve_simulated_models(config, folder) as served,
            closing(Ledger(place, ACCOUNT, config.budget_usd)) as ledger,
        ):
            progress = Progress()
            for warning in list_warnings(config):
                progress.show_phase(warning)
            # A wrong key is found by one word, before thousands of calls wait for it.
            proven = asyncio.run(probe_models(served, ledger))
            work, stop = _Work(served, found, folder, place, cases, bool(proven)), StopSignal()
            with stop.handle_signals():
                return asyncio.run(_ask_and_report(work, job, ledger, progress, stop))


def _build_config(job: RejudgeJob, found: Rules) -> Config:
    """The judge alone as a generation job; it does not sample."""
    judge = replace(job.judge, temperature=0.0)
    search = SearchConfig(judge_temperature=0.0)
    limits = Config(cache=job.cache, window=job.window, budget_usd=job.budget_usd)
    return replace(limits, mentors={}, interns={}, judge=judge, search=search, prompts=found.prompts)


async def _ask_and_report(work: _Work, job: RejudgeJob, ledger: Ledger, progress: Progress, stop: StopSignal) -> int:
    limit = work.config.cache.max_gb
    tidy_folder(work.folder.cache)
    cache = ReplyStore(work.folder.cache, f"rejudge-{work.place.name}", None if limit is None else round(limit * GB))
    judge, meter = await _connect_judge(work, cache, ledger, progress), UsageMeter()
    account, end = Account(work.rules.policy), JobEnd(EXIT_OK, "")
    progress.show_phase(f"asking {job.judge.model} about the answers of {work.cases} cases")
    try:
        await _write_verdicts(work, judge, meter, account, progress, stop)
    except ENDS as error:
        end = describe_end(error, {JUDGE: job.judge})
    except ShardError as error:
        raise RefusedRun(str(error)) from None
    finally:
        progress.close()
        # Before the cache closes: calls under way are paid, and the next session finds them there.
        await judge.drain_calls()
        await cache.close()
    if end.code == EXIT_OK:
        _write_report(work, job, account, meter)
        if account.votes and account.unknown["other"] == account.votes:
            who = describe_model(JUDGE, job.judge)
            end = JobEnd(
                EXIT_STOPPED, f"{who} gave no verdict on any of {account.votes} votes; the file of verdicts says why"
            )
    if end.code != EXIT_OK:
        told = f"{end.message}\n{_describe_spent(read_spent_usd(work.place), job)}"
        Console(stderr=True, soft_wrap=True, highlight=False).print(told, style="yellow", markup=False)
    return end.code


async def _connect_judge(work: _Work, cache: ReplyStore, ledger: Ledger, progress: Progress) -> AskedJudge:
    if work.config.judge.engine is Engine.endpoint:
        return PaidCalls(build_endpoint(work.config, cache, ledger, work.proven))
    # vLLM is loaded only where it is needed.
    from eval.rejudge.served_judge import ServedJudge

    progress.show_phase(f"loading {work.config.judge.model}")
    return await ServedJudge.start(work.config.judge, cache)


async def _write_verdicts(
    work: _Work, judge: AskedJudge, meter: UsageMeter, account: Account, progress: Progress, stop: StopSignal
) -> None:
    """Verdicts case by case into a file that is there whole or not at all."""
    rows: list[dict[str, Any]] = []
    with (
        replace_file(work.place / "verdicts.parquet") as file,
        pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer,
    ):

        def keep_case(one: Heard) -> None:
            rows.extend(account.count_case(one.case_id, one.trees, one.said))
            # Row groups of a size that readers expect; one a case would make the file mostly headers.
            if len(rows) >= GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                rows.clear()
            told = f"{account.votes} votes  {account.flips.total()} flips"
            progress.show_line(account.cases, work.cases, Text(f"{account.cases}/{work.cases} cases  {told}"))

        await ask_judge(_read_recorded(work.folder.results), work.config, judge, meter, stop, keep_case)
        writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _write_report(work: _Work, job: RejudgeJob, account: Account, meter: UsageMeter) -> None:
    names = {"judge": job.judge.model, "recorded_judge": work.rules.judge}
    spent = read_spent_usd(work.place)
    usage = {"usage": asdict(meter.usage.get(JUDGE, Usage())), "spent_usd": spent}
    report = names | usage | account.as_json()
    write_private(work.place / "report.json", json.dumps(report, indent=1).encode())
    write_private(work.place / "report.md", render_rejudgement(report).encode())
    console = Console(soft_wrap=True, highlight=False)
    console.print(render_rejudgement(report | {"changed": []}).partition("| case |")[0].rstrip(), markup=False)
    console.print(f"\n{_describe_spent(spent, job)}", markup=False)
    console.print(f"verdicts {work.place}/verdicts.parquet   report {work.place}/report.md, .json", markup=False)


def _describe_spent(usd: float, job: RejudgeJob) -> str:
    cap = "" if job.budget_usd is None else f" of budget_usd={job.budget_usd:g}"
    return f"spent ${usd:.4f}{cap}, earlier sessions included"


def _read_recorded(results: Path) -> Iterable[Mapping[str, Any]]:
    return iter_rows(results, COLUMNS)


def _count_cases(results: Path) -> int:
    """The cases; every column that is needed is read, so that damage is found before anything is paid."""
    try:
        return sum(1 for _ in _read_recorded(results))
    except ShardError as error:
        raise RefusedRun(str(error)) from None


def _name_folder(job: RejudgeJob) -> str:
    """A folder's name for the judge."""
    return re.sub(r"[^\w.-]+", "-", job.rejudge.name or job.judge.model).strip(".-") or "judge"
