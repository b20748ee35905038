"""The end of a run on the screen: the account, one chain with its tree, where the files lie."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mics_ray.core.types import Outcome
from mics_ray.io.shards.reading import iter_rows
from mics_ray.jobs.run_folder import RunFolder
from mics_ray.runtime.monitor.case_view import draw_case
from mics_ray.runtime.monitor.progress import COLOURS

USAGE_COLUMNS = {
    "calls": "calls", "cached_calls": "cached", "lost": "lost", "prompt_tokens": "tokens in",
    "cached_tokens": "in prefix cache", "completion_tokens": "out", "reasoning_tokens": "thoughts",
}  # fmt: skip
"""Of the closing table: what is counted of a model, and its heading."""

_PREFERENCE = tuple(outcome for outcome in Outcome if outcome is not Outcome.REJECTED)


def print_run_summary(console: Console, folder: RunFolder, summary: Mapping[str, Any]) -> None:
    """Print the closing tables, one chain with its tree, and the paths.

    A chain of real cases is shown on a terminal only: on a cluster this output is a log, where no medical text belongs.
    """
    console.print(_outcomes_table(summary), make_usage_table(summary))
    if per_chain := summary["cost_usd_per_kept_chain"]:
        spent = f"spent ${summary['spent_usd']:.4f}, ${per_chain:.4f} for each kept chain"
        shares = ", ".join(f"{name} {share:.0%}" for name, share in summary["chosen_share"].items())
        console.print(f"{spent}; chosen steps by mentor: {shares}", highlight=False, markup=False)
    row = _choose_example(folder) if console.is_terminal or summary["simulated"] else None
    if row is not None:
        console.print(draw_case(row))
    console.print(f"rows     {folder.results}/part-*.parquet", highlight=False, soft_wrap=True)
    console.print(f"summary  {folder.summary}   config  {folder.root}/config.yaml", highlight=False, soft_wrap=True)
    console.print(f"logs     {folder.logs}   paid replies  {folder.cache}", highlight=False, soft_wrap=True)


def _outcomes_table(summary: Mapping[str, Any]) -> Table:
    table = Table(
        title=f"{summary['cases']} cases in {summary['search_seconds']:.1f} s of search", title_justify="left"
    )
    for name in ("outcome", "cases", "share"):
        table.add_column(name, justify="left" if name == "outcome" else "right")
    for name in Outcome:
        if count := summary["outcomes"].get(name, 0):
            table.add_row(Text(name, COLOURS[name]), str(count), f"{count / summary['cases']:.0%}")
    return table


def make_usage_table(summary: Mapping[str, Any]) -> Table:
    """What each model was asked, from a run's ``summary``."""
    title = "calls and tokens" + (" (simulated mentors and judge)" if summary["simulated"] else "")
    table = Table(title=title, title_justify="left", caption_justify="left", collapse_padding=True)
    table.caption = "\n".join(_describe_lost(summary["participation"])) or None
    table.add_column("model", no_wrap=True)
    lines = {
        name: used | {"lost": summary["participation"].get(name, {}).get("lost", 0)}
        for name, used in summary["usage"].items()
    }
    totals = {key: sum(line[key] for line in lines.values()) for key in USAGE_COLUMNS}
    # Most providers tell neither cached nor reasoning tokens: no columns of zeros then.
    shown = [key for key in USAGE_COLUMNS if totals[key] or key not in ("cached_tokens", "reasoning_tokens")]
    for key in shown:
        # A count that is cut off says nothing; a heading may take two lines.
        table.add_column(USAGE_COLUMNS[key], justify="right", min_width=len(_shorten_count(totals[key])))
    table.add_column("cost", justify="right", min_width=len(f"${summary['cost_usd']:.4f}"))
    for name, line in lines.items():
        # A model that answered nothing took no part in the search.
        style = "" if line["calls"] else "red"
        table.add_row(name, *(_shorten_count(line[key]) for key in shown), f"${line['cost_usd']:.4f}", style=style)
    table.add_section()
    table.add_row("all", *(_shorten_count(totals[key]) for key in shown), f"${summary['cost_usd']:.4f}")
    return table


def _describe_lost(participation: Mapping[str, Any]) -> Iterator[str]:
    """The lost calls of each model that lost some, by reason."""
    for name, part in participation.items():
        reasons = sorted(part.get("lost_by_reason", {}).items(), key=lambda pair: (-pair[1], pair[0]))
        if reasons:
            yield f"{name} lost {', '.join(f'{count:,} {reason}' for reason, count in reasons)}"


def _shorten_count(count: int) -> str:
    """A count in at most seven characters up to a hundred thousand million; summary.json has all digits."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if count >= 10 * size:
            return f"{count / size:,.1f}{unit}"
    return f"{count:,}"


def _choose_example(folder: RunFolder) -> dict[str, Any] | None:
    """A row worth looking at: a searched chain of several rounds where there is one."""
    best: tuple[int, int] | None = None
    chosen = None
    for row in iter_rows(folder.results):
        if row["outcome"] in _PREFERENCE:
            # Three rounds show how a tree grows; more of them only fill the screen.
            rank = (-_PREFERENCE.index(row["outcome"]), min(row["rounds"], 3))
            if best is None or rank > best:
                best, chosen = rank, row
            if rank == (0, 3):  # no row can be better, and the folder may be large
                break
    return chosen
