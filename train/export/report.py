"""The account of an export: report.json for programs, report.md for people. Ids and counts, no medical text."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from mics_ray.config.identity import find_code_version
from train.export.config import ExportJob, LeakFilter
from train.export.jsonl import write_file
from train.export.runs import Run
from train.export.samples import Sample
from train.export.select import Dropped, is_leaking

REPORT = "report.json"
_SHOWN = 20  # ids a reason in report.md


def build_report(
    job: ExportJob,
    runs: Sequence[Run],
    sides: tuple[Sequence[Sample], Sequence[Sample]],
    dropped: Sequence[Dropped],
    found: Mapping[str, Any],
) -> dict[str, Any]:
    """What report.json holds; ``found`` are the parts that the writers know: stages, notes, pictures, files, pairs."""
    kept = [*sides[0], *sides[1]]
    return {
        "stages": found["stages"],
        "kept": len(kept),
        "dropped": count_reasons(dropped),
        "split": {"train": len(sides[0]), "validation": len(sides[1])},
        "patients": {"train": _count_patients(sides[0]), "validation": _count_patients(sides[1])},
        "outcome": dict(Counter(sample.outcome for sample in kept)),
        "quality": dict(Counter(sample.quality for sample in kept)),
        "rounds": {str(rounds): count for rounds, count in sorted(Counter(sample.rounds for sample in kept).items())},
        "pictures": found["pictures"],
        "tokens": _summarise_lengths([sample.tokens for sample in kept]) | _describe_limit(job),
        "files": found["files"],
        "long_pairs": found["long_pairs"],
        "notes": [
            *_run_notes(job, runs),
            *_leak_notes(job, kept),
            *_context_notes(kept),
            *_vote_notes(kept),
            *_pair_notes(found["long_pairs"]),
            *found["notes"],
        ],
        "runs": [_describe_run(run, kept, dropped) for run in runs],
        "config_digest": ", ".join(sorted({sample.config_digest for sample in kept})),
        "code_version": find_code_version(),
        "seed": job.seed,
        "dropped_ids": list_dropped(dropped),
    }


def count_reasons(dropped: Sequence[Dropped]) -> dict[str, int]:
    """How many rows each reason left out, the most frequent first."""
    return dict(Counter(one.reason for one in dropped).most_common())


def list_dropped(dropped: Sequence[Dropped]) -> dict[str, list[dict[str, str]]]:
    """By reason, every row that was left out."""
    return {
        reason: [{"id": one.case_id, "run": one.run, "detail": one.detail} for one in dropped if one.reason == reason]
        for reason in count_reasons(dropped)
    }


def write_export_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write both files."""
    write_file(folder / REPORT, json.dumps(report, indent=1))
    write_file(folder / "report.md", "\n".join(_render_markdown(report)) + "\n")


def _count_patients(side: Sequence[Sample]) -> int:
    return len({sample.patient for sample in side})


def _summarise_lengths(tokens: Sequence[int]) -> dict[str, int]:
    return {"min": min(tokens), "median": round(median(tokens)), "max": max(tokens)}


def _describe_limit(job: ExportJob) -> dict[str, Any]:
    by = job.length.tokenizer or "upper bound, one token per UTF-8 byte"
    return {"limit": job.length.max_seq_length, "measured_by": by}


def _describe_run(run: Run, kept: Sequence[Sample], dropped: Sequence[Dropped]) -> dict[str, Any]:
    mine = sum(sample.run == run.name for sample in kept)
    return {
        "name": run.name,
        "dir": str(run.folder.absolute()),
        "rows": mine + sum(one.run == run.name for one in dropped),
        "kept": mine,
        "models": run.models,
    }


def _run_notes(job: ExportJob, runs: Sequence[Run]) -> Iterator[str]:
    """What a reader of the export should know about its runs."""
    for run in runs:
        if not run.finished:
            yield f"run {run.name} is not finished; some of its cases have no row yet"
        if run.intern_prompt != job.prompts.intern:
            yield f"run {run.name} asked its interns by another template than this export (prompts=…)"


def _leak_notes(job: ExportJob, kept: Sequence[Sample]) -> Iterator[str]:
    """Losing candidates that give something away, by the search's own guard."""
    if job.select.leaks is LeakFilter.keep:
        return
    if leaking := sum(is_leaking(node) for sample in kept for node in sample.nodes):
        yield f"{leaking} candidates leak; they and what goes on from them are in no pair and no reward"


def _context_notes(kept: Sequence[Sample]) -> Iterator[str]:
    """Samples whose prompt holds the answer before any reasoning."""
    if named := sum(bool(sample.context_names_answer) for sample in kept):
        yield f"{named} samples have a context, such as the complaint, that names the diagnosis (context_names_answer)"


def _vote_notes(kept: Sequence[Sample]) -> Iterator[str]:
    """Candidates without a score because the search left votes out."""
    if partial := sum(bool(node["unasked"]) for sample in kept for node in sample.nodes):
        left = f"{partial} candidates have no score, since not all of their votes were asked for (search.adaptive)"
        yield f"{left}; they are in no pair and no reward, and those that remain score higher than all would"


def _pair_notes(long: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, ids in long.items():
        if ids:
            yield f"{len(ids)} pairs of {name} are longer than length.max_seq_length and left out; ids in {REPORT}"


def _render_markdown(report: Mapping[str, Any]) -> Iterator[str]:
    rows = report["kept"] + sum(report["dropped"].values())
    yield f"# Export: {report['kept']} of {rows} rows\n"
    yield f"Configuration {report['config_digest']}, code {report['code_version']}, seed {report['seed']}.\n"
    for title in ("split", "patients", "outcome", "quality", "rounds", "pictures", "tokens", "files"):
        yield f"- {title}: " + ", ".join(f"{name} {value}" for name, value in report[title].items())
    yield "\n## Stages\n"
    yield from _render_table(("stage", "data set", "records", "repeats", "samples"), _stage_rows(report["stages"]))
    if report["notes"]:
        yield "\n## Notes\n"
        yield from (f"- {note}" for note in report["notes"])
    yield "\n## Runs\n"
    yield from _render_table(
        ("run", "rows", "kept"), ((run["name"], run["rows"], run["kept"]) for run in report["runs"])
    )
    yield "\n## Left out\n"
    yield from _left_out(report)


def _stage_rows(stages: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[object]]:
    for stage in stages:
        for name, one in stage["sets"].items():
            yield stage["name"], name, one["length"], one["repeat_time"], one["length"] * one["repeat_time"]


def _left_out(report: Mapping[str, Any]) -> Iterator[str]:
    if not report["dropped"]:
        yield "Nothing."
    for reason, ids in report["dropped_ids"].items():
        yield f"- **{reason}** ({len(ids)})"
        yield from (f"  - `{one['id']}` of {one['run']}: {one['detail']}" for one in ids[:_SHOWN])
        if len(ids) > _SHOWN:
            yield f"  - … and {len(ids) - _SHOWN} more, all in {REPORT}"


def _render_table(head: Sequence[str], rows: Iterator[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
