"""The report of another judge as Markdown."""

from collections.abc import Mapping
from typing import Any

from eval.reports.markdown import escape_cell

EXAMPLES = 20
"""Ids and rounds that the Markdown shows of each kind; the JSON has all."""


def render_rejudgement(report: Mapping[str, Any]) -> str:
    """The account for a reader; no medical text."""
    found = report["agreement"]
    lines = [
        f"# {escape_cell(report['judge'])} over the answers that {escape_cell(report['recorded_judge'])} judged",
        "",
        f"{report['votes']} votes of {report['cases']} cases; {found['answers']} different answers known to both.",
        "",
        f"- equal verdicts: {_format_share(found['equal'])}",
        f"- Cohen's kappa: {_format_number(found['kappa'])}{_format_interval(found)}",
        f"- unknown votes: {report['unknown'].get('recorded', 0)} recorded, {report['unknown'].get('other', 0)} here",
        f"- cost: ${report['usage']['cost_usd']:.4f}, {report['usage']['calls']} calls, "
        f"{report['usage']['cached_calls']} of them answered from the cache; ${report['spent_usd']:.4f} spent in all",
        "",
        "## Flipped verdicts",
        "",
        "| from, to | votes | cases | ids |",
        "|---|---|---|---|",
    ]
    for kind, flip in report["flips"].items():
        lines.append(
            f"| {kind.replace('_', ' ')} | {flip['votes']} | {len(flip['cases'])} | {_list_some(flip['cases'])} |"
        )
    lines += [
        "",
        "## Steps that would be chosen otherwise",
        "",
        f"{report['changed_rounds']} of {report['rounds']} rounds, in {report['changed_cases']} cases; in "
        f"{report['other_step']} of them another candidate, in the rest the search stops or goes on instead. "
        "Each round is decided as the search came to it, by the run's own policy.",
        "",
    ]
    if report["not_reproduced"]:
        lines += [f"{report['not_reproduced']} rounds are left out: this code does not choose as the run did.", ""]
    if report["undecided"]:
        left = (
            f"{report['undecided']} rounds are open: votes that the run did not ask for (search.adaptive) would decide."
        )
        lines += [left, ""]
    lines += ["| case | attempt | round | chosen | would be |", "|---|---|---|---|---|"]
    for one in report["changed"][:EXAMPLES]:
        before, after = _format_move(one, "from"), _format_move(one, "to")
        lines.append(f"| {escape_cell(one['case_id'])} | {one['attempt']} | {one['round']} | {before} | {after} |")
    return "\n".join([*lines, ""])


def _format_move(one: Mapping[str, Any], side: str) -> str:
    # Mentors' names are a user's words: one must not end a cell of the table or become a link.
    return escape_cell(
        " ".join(filter(None, [one[f"{side}_mentor"] or "none", one[f"{side}_end"] and f"({one[f'{side}_end']})"]))
    )


def _list_some(ids: list[str]) -> str:
    return ", ".join(map(escape_cell, ids[:EXAMPLES])) + (", …" if len(ids) > EXAMPLES else "")


def _format_share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _format_number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _format_interval(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        return f" (interval: {found['interval']})"
    return f", 95 % interval {found['low']:.3f} to {found['high']:.3f}"
