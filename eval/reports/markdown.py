"""A report as Markdown: for reading, with everything that the figures need to be understood."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mics_ray.core.display import make_one_line

IN_DOMAIN = (
    "\\* In-domain: the paper's training mix holds this set's training split, so the paper's own models, and any that "
    "is trained on that mix, have seen its like. Such figures say how well it was learnt, not how far it carries."
)
SCORING = (
    "Lenient: any answer that leaves no doubt counts (`B`, `The answer is B.`, the option's own text). Strict: it must "
    "stand behind `### The final answer is:`, as the prompt asks."
)
NOT_ASKED = "The prompt (`prompts.intern`) does **not ask for the form**: strict figures say nothing of the model."
OWN_CHAINS = (
    "Over the chains scored alone: a reply without steps in the form has nothing to finish from, so two models' scores "
    "are over different items where their forms differ. Leaking: a step names the gold answer or closes with a final "
    "answer, so that interns need only repeat it."
)

_WRITTEN = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("](", "]\\("))


def render_report(report: Mapping[str, Any], beside_the_paper: Sequence[str] = ()) -> str:
    """The whole report as text that ends with a newline; ``beside_the_paper`` is the section of that name."""
    parts = [
        f"# Evaluation of {escape_cell(report['model'])}",
        _results_table(report),
        *_report_notes(report),
        *_own_chains(report["benchmarks"]),
        *beside_the_paper,
        *(part for name, found in report["benchmarks"].items() for part in _breakdown_tables(name, found)),
        *_how_served(report),
    ]
    return "\n\n".join(parts) + "\n"


def _results_table(report: Mapping[str, Any]) -> str:
    """The table of benchmarks; the scores have a column where any row has them."""
    named = {
        f"{escape_cell(name)}{' *' if found['in_domain'] else ''}": found
        for name, found in report["benchmarks"].items()
    }
    # For a single benchmark the sum would repeat its line.
    if len(named) > 1:
        named["all items"] = report["all"]
    scores = [name for name in ("mics_score", "bert_score") if any(found[name] is not None for found in named.values())]
    titles = {"mics_score": "MICS-Score", "bert_score": "BERTScore F1"}
    head = ["benchmark", *SHARES, "ambiguous", "lost", *(titles[name] for name in scores)]
    rows = [
        [name, *format_shares(found), str(found["ambiguous"]), str(found["lost"])]
        + [_format_score(found[score]) for score in scores]
        for name, found in named.items()
    ]
    return format_table(head, rows)


def _report_notes(report: Mapping[str, Any]) -> list[str]:
    found = report["benchmarks"].values()
    mean = report["mean_of_benchmarks"]
    notes = [
        SCORING + " Both are over all items; an item in which no one answer was found is wrong.",
        "Parse rate: replies in which one answer was found; form kept: replies whose answer stands in the form; "
        "ambiguous: replies that name several answers, wrong by both. Lost: items whose call failed; they count "
        "neither as right nor as wrong. Intervals are clustered by picture (Wilson's, with the cluster-robust number "
        "of items); one picture alone has none (–).",
    ]
    if not report["asked_for_form"]:
        notes.append(NOT_ASKED)
    if len(report["benchmarks"]) > 1 and mean is not None:
        notes.append(f"Mean of the benchmarks: {format_percent(mean)}.")
    if any(one["in_domain"] for one in found):
        notes.append(IN_DOMAIN)
    if report["simulated_judge"]:
        notes.append("The judge was **simulated**: open answers were compared by the embedded server, not by a model.")
    return notes


def _own_chains(benchmarks: Mapping[str, Any]) -> list[str]:
    """What the MICS-Score is over: chains with a score, and those that have none or whose score says little."""
    asked = {
        name: one for name, one in benchmarks.items() if one["mics_scored"] or one["mics_no_form"] or one["mics_lost"]
    }
    if not asked:
        return []
    rows = [
        [
            escape_cell(name),
            *(str(one[f"mics_{count}"]) for count in ("scored", "no_form", "lost", "leaking")),
            *(_format_score(one[f"mics_{mean}"]) for mean in ("score", "clean")),
        ]
        for name, one in asked.items()
    ]
    head = ["benchmark", "chains scored", "without the form", "lost", "leaking", "MICS-Score", "without leaking ones"]
    return ["## MICS-Score of the model's own chains", format_table(head, rows), OWN_CHAINS]


def _breakdown_tables(name: str, found: Mapping[str, Any]) -> list[str]:
    parts = []
    for by, groups in found["by"].items():
        rows = [[escape_cell(group), *format_shares(one)] for group, one in groups.items()]
        parts += [
            f"## {escape_cell(name)} by {by}",
            format_table([by, *SHARES], rows),
        ]
    return parts


def _how_served(report: Mapping[str, Any]) -> list[str]:
    """Everything but the model that decided the answers; long texts by their length."""
    rows = [[f"`{name}`", escape_cell(_shorten_setting(value))] for name, value in report["served"].items()]
    made = f"Configuration {', '.join(report['config_digests'])}, code {', '.join(report['code_versions'])}."
    return ["## How it was served", format_table(["setting", "value"], rows, right=False), made]


SHARES = ("items", "lenient", "95 % interval", "strict", "95 % interval", "parse rate", "form kept")
"""Heads of the columns of :func:`format_shares`."""


def format_shares(found: Mapping[str, Any]) -> list[str]:
    """Items, lenient and strict accuracy with their intervals, and the two rates of a summary, in percent."""
    strict = {"known": found["known"], "low": found["strict_low"], "high": found["strict_high"]}
    return [
        str(found["items"]),
        format_percent(found["accuracy"]),
        format_interval(found),
        format_percent(found["strict"]),
        format_interval(strict),
        format_percent(found["parse_rate"]),
        format_percent(found["form_rate"]),
    ]


def format_percent(share: float | None) -> str:
    """A share as a percentage with one decimal."""
    return "–" if share is None else f"{100 * share:.1f}"


def format_interval(found: Mapping[str, Any]) -> str:
    """The 95 % interval in percent; a dash where there is none: no known item, or one picture alone."""
    return "–" if found["low"] is None else f"{format_percent(found['low'])} to {format_percent(found['high'])}"


def _format_score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _shorten_setting(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"(text of {len(text)} characters)"


def escape_cell(text: str) -> str:
    """Text that cannot end a table's cell, and that is neither HTML nor a link."""
    shown = make_one_line(" ".join(str(text).split()))
    # `&` first, or the marks written for the others would be escaped again.
    for mark, written in _WRITTEN:
        shown = shown.replace(mark, written)
    return shown


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: bool = True) -> str:
    """A table; its columns but for the first are numbers, or words for ``right`` false."""
    rule = ["---", *(["---:"] if right else ["---"]) * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])
