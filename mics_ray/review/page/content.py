"""What the page tells of a whole run: its figures, its charts, the comparison with another run."""

from typing import Any

from mics_ray.core.display import make_one_line
from mics_ray.core.types import Outcome
from mics_ray.review.data.chart import Chart, format_value
from mics_ray.review.data.chunks import LIST_ENTRIES, CaseChunks
from mics_ray.review.data.course import chart_outcomes, chart_times
from mics_ray.review.data.figures import list_charts
from mics_ray.review.data.pairs import tabulate_flips, tabulate_measures
from mics_ray.review.data.tally import RunTally
from mics_ray.review.other_run import OtherRun
from mics_ray.review.page.build import DrawnChart, PageContent, Table
from mics_ray.review.run_source import RunSource


def describe_run(
    run: RunSource, tally: RunTally, chunks: CaseChunks, other: OtherRun | None, no_notes: str
) -> PageContent:
    """Everything on the page but its cases. ``no_notes`` says why their notes are not shown; empty where they are."""
    this, that = make_one_line(run.name), None
    warnings, tables, sides = run.list_warnings(), [], {"a": _describe_side(chunks)}
    if no_notes:
        warnings.append(f"Of the case notes only the context is shown: {make_one_line(no_notes)}.")
    if other is not None:
        that = make_one_line(other.source.name)
        if that == this:
            this, that = f"{this} (this)", f"{that} (other)"
        sides["b"] = _describe_side(other.chunks)
        tables = _compare_runs(other, this, that)
        warnings += [f"{that}: {line}" for line in other.source.list_warnings()]
    needed = {
        "name": this,
        "against": that,
        "sides": sides,
        "list_entries": LIST_ENTRIES,
        "outcomes": [outcome.value for outcome in Outcome if tally.outcomes[outcome]],
    }
    charts = [DrawnChart(chart, f"charts/{chart.name}.svg") for chart in collect_charts(run, tally)]
    title = f"Run {this}" + (f" beside {that}" if that else "")
    return PageContent(title, warnings, _list_figures(run, tally), tables, charts, needed)


def collect_charts(run: RunSource, tally: RunTally) -> list[Chart]:
    """All charts of a run that have something to show, in their order on the page."""
    course = chart_outcomes(run.folder), chart_times(run.folder, run.list_roles())
    charts = list_charts(tally)
    before = [course[0]] if course[0] else []
    # Time stands beside tokens and money.
    at = next((place for place, chart in enumerate(charts) if chart.name == "quality"), len(charts))
    return [*before, *charts[:at], *([course[1]] if course[1] else []), *charts[at:]]


def _describe_side(chunks: CaseChunks) -> dict[str, Any]:
    return {"count": chunks.count, "first": chunks.first, "lists": chunks.lists}


def _list_figures(run: RunSource, tally: RunTally) -> list[tuple[str, str]]:
    spent = max(float(run.summary.get("spent_usd") or 0.0), sum(used.cost_usd for used in tally.usage.values()))
    tokens = sum(used.prompt_tokens + used.completion_tokens for used in tally.usage.values())
    figures = [("cases", f"{tally.cases:,}"), ("kept chains", _count_share(tally.kept, tally.cases))]
    figures += [(str(outcome).replace("_", " "), _count_share(tally.outcomes[outcome], tally.cases))
                for outcome in Outcome if tally.outcomes[outcome]]  # fmt: skip
    figures.append(("kept chains with a leak flag", _count_share(tally.flagged, tally.kept)))
    figures += [("spent", format_value(spent, "usd")), ("tokens", f"{tokens:,}")]
    if tally.kept:
        figures.append(("spent for each kept chain", format_value(spent / tally.kept, "usd")))
    if tally.seconds.value is not None:
        figures.append(("mean time of a case", f"{tally.seconds.value:,.1f} s"))
    return figures


def _count_share(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.0%})" if total else "0"


def _compare_runs(other: OtherRun, this: str, that: str) -> list[Table]:
    pairs = other.pairs
    left = f"{pairs.only_this:,} cases are in {this} only"
    left += f", {len(other.cases) - pairs.pairs - pairs.differing:,} in {that} only"
    if pairs.differing:
        left += f"; {pairs.differing:,} of the same id ask another question, or show other pictures, and are left out"
    flips = sum(count for (one, two), count in pairs.flips.items() if one != two)
    words = (
        f"{pairs.pairs:,} cases of both runs; {left}. The difference is {that} less {this}, case by case, with its "
        "95 % interval; cases of the same pictures vary together. Cases that failed or were rejected on a side count "
        "for tokens and money alone. p: the exact test of the flips."
    )
    return [
        Table(f"{that} against {this}", words, *tabulate_measures(pairs.compare(), this, that)),
        Table(
            "Outcomes of the cases of both",
            f"{flips:,} of {pairs.pairs:,} cases ended otherwise.",
            *tabulate_flips(pairs.flips, this, that),
        ),
    ]
