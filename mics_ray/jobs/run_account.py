"""The closing account of a generation: what its folder holds, who took part, and whether its end can be trusted."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from mics_ray.assemble.locations import JUDGE, list_models
from mics_ray.config.schema import Config
from mics_ray.core.types import Outcome, Usage
from mics_ray.errors import EXIT_OK, EXIT_STOPPED
from mics_ray.io.results.summary import summarise_results
from mics_ray.jobs.generation import GenerationJob
from mics_ray.jobs.job_end import JobEnd, describe_model
from mics_ray.models.participation import Participation
from mics_ray.models.replies.ledger import read_spent_usd
from mics_ray.private_files import read_json_object

Summary = dict[str, Any]
RETRY = "retry_failed=true searches the failed cases again"


def account_for_run(job: GenerationJob, end: JobEnd, simulated: bool) -> tuple[JobEnd, Summary]:
    """Write ``summary.json`` over all starts of a run. Returns its content, and the end that the run deserves.

    A run that did all its cases, but in which a model never answered or no case was searched, ends with 75.
    Raises :class:`~mics_ray.io.shards.kind.ShardError`.
    """
    # A run that was interrupted has one account over all its starts.
    earlier = read_json_object(job.folder.summary)
    summary = summarise_results(job.folder.results, read_spent_usd(job.folder.cache)) | {
        "finished": end.code == EXIT_OK,
        "search_seconds": round(earlier.get("search_seconds", 0.0) + end.seconds, 3),
        "simulated": simulated,
        "config_digest": job.stamp.config_digest,
        "code_version": job.stamp.code_version,
    }
    unused = {name: asdict(Usage()) for name in list_models(job.config)}
    summary["usage"] = unused | summary["usage"]
    summary["participation"] = _add_participation(job.config, earlier.get("participation", {}), end)
    # A run that ended early has said why, and may not have come to some of its models.
    summary["doubts"] = find_doubts(job.config, summary) if end.code == EXIT_OK else []
    if summary["doubts"]:
        end = replace(end, code=EXIT_STOPPED, message="\n".join(summary["doubts"]))
    job.folder.write_file(job.folder.summary.name, json.dumps(summary, indent=1))
    return end, summary


def _add_participation(config: Config, earlier: Mapping[str, Any], end: JobEnd) -> dict[str, dict[str, Any]]:
    """By model, its calls that were answered and lost (by reason) over all starts of the run, and the last lost one."""
    models = {}
    for name in list_models(config):
        before = earlier.get(name, {})
        here = end.attendance.get(name, Participation())
        models[name] = {
            "answered": before.get("answered", 0) + here.answered,
            "lost": before.get("lost", 0) + here.lost,
            "lost_by_reason": dict(here.reasons + Counter(before.get("lost_by_reason", {}))),
            "last_lost": str(here.last) if here.last else before.get("last_lost"),
        }
    return models


def find_doubts(config: Config, summary: Mapping[str, Any]) -> list[str]:
    """Why a run whose cases all have a row did not do what it was started for, a line each; empty where it did."""
    outcomes = summary["outcomes"]
    searched = summary["cases"] - outcomes.get(Outcome.REJECTED, 0)
    if summary["cases"] and not searched:
        return [f"none of {summary['cases']} cases could be searched: all were rejected, their rows say why"]
    doubts = []
    # Rows without one model's votes or steps are no failed ones: a retry would leave them as they are.
    remedy = RETRY if outcomes.get(Outcome.FAILED, 0) else "another run.dir searches with it"
    if searched and outcomes.get(Outcome.FAILED, 0) == searched:
        doubts.append(f"all {searched} cases that were searched failed, their rows say why; {RETRY}")
    for name, entry in list_models(config).items():
        part, used = summary["participation"][name], summary["usage"][name]
        # Where every answer was matched with the gold answer, there was nothing to ask the judge.
        if name == JUDGE and config.search.match_gold and not part["lost"] and not used["calls"]:
            continue
        # Rows of an earlier start that was killed are the only trace of its answers.
        if searched and not part["answered"] and (part["lost"] or not used["calls"]):
            last = f"; its last call: {part['last_lost']}" if part["last_lost"] else ""
            doubts.append(f"{describe_model(name, entry)} never answered{last}; {remedy}")
    return doubts
