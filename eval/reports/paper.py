"""The paper's figures beside ours: only where both count the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eval.reports.markdown import escape_cell, format_interval, format_percent, format_table
from eval.reports.statistics import Mark, summarise_groups, summarise_marks

PAPER = (
    "The paper's figures are as printed (percent): another judge, other prompts, and answers without a marker are left "
    "out of its count. They are a landmark, not a comparison under equal terms; `scripts/compare.py` makes one. Beside "
    "them ours on the same questions, and on all closed, open and choice questions of the split (percent, of how many)."
)


def account_for_paper(marks: Sequence[Mark], config: Mapping[str, Any]) -> dict[str, Any]:
    """What the paper says of a benchmark, and whether the questions that it counts are the ones of ``marks``.

    ``ours`` is the summary of those questions; ``None`` where they are others, and then ``why_not`` says which.
    """
    counted = config.get("paper_set") or {}
    ours = [one for one in marks if _is_counted(one, counted)]
    why_not = _tell_difference(len(ours), len(marks), config) if config.get("paper") else ""
    return {
        "split": config.get("split") or "",
        "figures": dict(config.get("paper") or {}),
        "counts": dict(counted),
        "why_not": why_not,
        "ours": None if why_not or not counted else asdict(summarise_marks(ours)),
        "by_kind": {kind: asdict(found) for kind, found in summarise_groups(marks, lambda one: one.kind).items()},
    }


def is_whole(paper: Mapping[str, Any]) -> bool:
    """Whether the paper's figure is one of the whole benchmark, and ours of the same questions."""
    return paper["ours"] is not None and not (paper["counts"].get("kind") or paper["counts"].get("topic"))


def render_paper(benchmarks: Mapping[str, Any]) -> list[str]:
    """The section of a report: a table of the figures, and why others are left out; empty where there are none."""
    papers = {name: found["paper"] for name, found in benchmarks.items() if found["paper"]["figures"]}
    if not papers:
        return []
    same = {name: paper for name, paper in papers.items() if paper["ours"] is not None}
    left_out = [
        f"- {escape_cell(name)}: {escape_cell(one['why_not'])}" for name, one in papers.items() if one["ours"] is None
    ]
    parts = ["## Beside the paper"]
    if same:
        parts += [_paper_table(same), PAPER]
        parts += [
            f"{escape_cell(name)}: {escape_cell(one['counts']['note'])}."
            for name, one in same.items()
            if one["counts"]["note"]
        ]
    if left_out:
        parts += ["No figure of the paper stands beside these, for it counts other questions:", "\n".join(left_out)]
    return parts


def _is_counted(mark: Mark, counted: Mapping[str, Any]) -> bool:
    return counted.get("kind") in (None, mark.kind) and counted.get("topic") in (None, mark.topic)


def _tell_difference(found: int, total: int, config: Mapping[str, Any]) -> str:
    """Why the questions are not those of the paper; ``""`` where they are."""
    counted, split = config.get("paper_set"), config.get("split")
    if not counted:
        return "which questions it counts is not told (`paper_set`)"
    if counted["split"] == split and counted["items"] == found:
        return ""
    of_ours = found if counted["split"] == split else total
    part = _name_part(counted) if counted["split"] == split else ""
    return (
        f"it counts the {counted['items']:,} {_name_part(counted)}questions of {counted['split']}, "
        f"these are {of_ours:,} {part}of {split}"
    )


def _name_part(counted: Mapping[str, Any]) -> str:
    return "".join(f"{one} " for one in (counted.get("kind"), counted.get("topic")) if one)


def _paper_table(papers: Mapping[str, Any]) -> str:
    models = list(dict.fromkeys(model for one in papers.values() for model in one["figures"]))
    head = ["benchmark", "split", "questions", "lenient", "95 % interval", "strict", *models, "ours by kind"]
    rows = [
        [
            escape_cell(name),
            escape_cell(one["split"]),
            f"{escape_cell(_name_part(one['counts']))} {_count_known(one['ours'])}".strip(),
            format_percent(one["ours"]["accuracy"]),
            format_interval(one["ours"]),
            format_percent(one["ours"]["strict"]),
            *(f"{one['figures'][model]:.1f}" if model in one["figures"] else "–" for model in models),
            ", ".join(
                f"{kind} {format_percent(ours['accuracy'])} of {_count_known(ours)}"
                for kind, ours in one["by_kind"].items()
            ),
        ]
        for name, one in papers.items()
    ]
    return format_table(head, rows)


def _count_known(found: Mapping[str, Any]) -> str:
    return str(found["items"]) if not found["lost"] else f"{found['known']} ({found['lost']} lost)"
