"""The account of an export: report.json for programs, report.md for people. Ids and counts, no medical text."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any

from mics_ray.config.identity import find_code_version
from mics_ray.private_files import replace_file
from train.export.config import ExportJob, LeakFilter
from train.export.jsonl import write_file
from train.export.runs import Run
from train.export.samples import Sample
from train.export.select import is_leaking
from train.export.selection import Selection

REPORT = "report.json"
_SHOWN = 20  # ids a reason in report.md
_LEAKING, _PARTIAL, _NAMED = "leaking", "partial", "named"


@dataclass(slots=True)
class SideTally:
    """What is counted over the samples of one side."""

    outcomes: Counter[str] = field(default_factory=Counter)
    quality: Counter[str] = field(default_factory=Counter)
    rounds: Counter[int] = field(default_factory=Counter)
    digests: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    """Candidates that leak, candidates with votes left out, samples whose context names the diagnosis."""

    def add_sample(self, sample: Sample) -> None:
        """Count one sample."""
        self.outcomes[sample.outcome] += 1
        self.quality[sample.quality] += 1
        self.rounds[sample.rounds] += 1
        self.digests[sample.config_digest] += 1
        self.notes[_LEAKING] += sum(map(is_leaking, sample.nodes))
        self.notes[_PARTIAL] += sum(bool(node["unasked"]) for node in sample.nodes)
        self.notes[_NAMED] += bool(sample.context_names_answer)

    def __add__(self, other: "SideTally") -> "SideTally":
        return SideTally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def build_report(
    job: ExportJob, runs: Sequence[Run], selection: Selection, tally: SideTally, found: Mapping[str, Any]
) -> dict[str, Any]:
    """What report.json holds, all but the ids of the rows that are left out.

    ``tally`` is of both sides, ``found`` the parts that the writers know: stages, notes, pictures, files, pairs.
    """
    sides = {"train": False, "validation": True}
    return {
        "stages": found["stages"],
        "kept": tally.outcomes.total(),
        "dropped": selection.count_reasons(),
        "split": {name: selection.count_side(validates) for name, validates in sides.items()},
        "patients": {name: selection.count_patients(validates) for name, validates in sides.items()},
        "outcome": dict(tally.outcomes),
        "quality": dict(tally.quality),
        "rounds": {str(rounds): count for rounds, count in sorted(tally.rounds.items())},
        "pictures": found["pictures"],
        "tokens": selection.summarise_tokens() | _describe_limit(job),
        "files": found["files"],
        "long_pairs": found["long_pairs"],
        "notes": [
            *_run_notes(job, runs),
            *_tally_notes(job, tally),
            *_pair_notes(found["long_pairs"]),
            *found["notes"],
        ],
        "runs": [_describe_run(run, selection) for run in runs],
        "config_digest": ", ".join(sorted(tally.digests)),
        "code_version": find_code_version(),
        "seed": job.seed,
    }


def write_export_report(folder: Path, report: Mapping[str, Any], selection: Selection) -> None:
    """Write both files, with the rows that are left out, by reason: all of them into report.json."""
    with replace_file(folder / REPORT) as file:
        file.writelines(text.encode() for text in _dump_report(report, selection))
    write_file(folder / "report.md", "\n".join(_render_markdown(report, selection)) + "\n")


def _dump_report(report: Mapping[str, Any], selection: Selection) -> Iterator[str]:
    """report.json piece by piece, as ``json.dumps(…, indent=1)`` writes it: its last entry, ids, has any size."""
    yield json.dumps(report, indent=1).removesuffix("\n}") + ',\n "dropped_ids": {'
    for at, reason in enumerate(report["dropped"]):
        yield f"{',' if at else ''}\n  {json.dumps(reason)}: ["
        for number, one in enumerate(selection.iter_dropped(reason)):
            yield (",\n" if number else "\n") + indent(json.dumps(one, indent=1), "   ")
        yield "\n  ]"
    yield "\n }\n}" if report["dropped"] else "}\n}"


def _describe_limit(job: ExportJob) -> dict[str, Any]:
    by = job.length.tokenizer or "upper bound, one token per UTF-8 byte"
    return {"limit": job.length.max_seq_length, "measured_by": by}


def _describe_run(run: Run, selection: Selection) -> dict[str, Any]:
    kept = selection.count_kept(run.name)
    return {
        "name": run.name,
        "dir": str(run.folder.absolute()),
        "rows": kept + selection.count_dropped(run.name),
        "kept": kept,
        "models": run.models,
    }


def _run_notes(job: ExportJob, runs: Sequence[Run]) -> Iterator[str]:
    """What a reader of the export should know about its runs."""
    for run in runs:
        if not run.finished:
            yield f"run {run.name} is not finished; some of its cases have no row yet"
        if run.intern_prompt != job.prompts.intern:
            yield f"run {run.name} asked its interns by another template than this export (prompts=…)"


def _tally_notes(job: ExportJob, tally: SideTally) -> Iterator[str]:
    """Candidates that are no evidence, by the search's own guard and its votes; prompts that hold the answer."""
    if (leaking := tally.notes[_LEAKING]) and job.select.leaks is not LeakFilter.keep:
        yield f"{leaking} candidates leak; they and what goes on from them are in no pair and no reward"
    if named := tally.notes[_NAMED]:
        yield f"{named} samples have a context, such as the complaint, that names the diagnosis (context_names_answer)"
    if partial := tally.notes[_PARTIAL]:
        left = f"{partial} candidates have no score, since not all of their votes were asked for (search.adaptive)"
        yield f"{left}; they are in no pair and no reward, and those that remain score higher than all would"


def _pair_notes(long: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, ids in long.items():
        if ids:
            yield f"{len(ids)} pairs of {name} are longer than length.max_seq_length and left out; ids in {REPORT}"


def _render_markdown(report: Mapping[str, Any], selection: Selection) -> Iterator[str]:
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
    yield from _left_out(report, selection)


def _stage_rows(stages: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[object]]:
    for stage in stages:
        for name, one in stage["sets"].items():
            yield stage["name"], name, one["length"], one["repeat_time"], one["length"] * one["repeat_time"]


def _left_out(report: Mapping[str, Any], selection: Selection) -> Iterator[str]:
    if not report["dropped"]:
        yield "Nothing."
    for reason, count in report["dropped"].items():
        yield f"- **{reason}** ({count})"
        shown = islice(selection.iter_dropped(reason), _SHOWN)
        yield from (f"  - `{one['id']}` of {one['run']}: {one['detail']}" for one in shown)
        if count > _SHOWN:
            yield f"  - … and {count - _SHOWN} more, all in {REPORT}"


def _render_table(head: Sequence[str], rows: Iterator[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
