"""What a replay found: how far the record reached, and how its rows stand beside the run's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mics_ray.core.display import make_one_line
from mics_ray.core.types import Outcome
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK
from mics_ray.replay.cases import RecordEnd
from mics_ray.replay.committed_rows import Comparison


@dataclass(frozen=True, slots=True)
class Account:
    """``records`` of the input, ``rows`` of the run; ``ends`` where the record ended, ``lacking`` of them with a row.

    ``changed`` names what differs from the run's configuration, ``problems`` why a file of the record cannot be read.
    """

    folder: Path
    records: int
    rows: int
    ends: Sequence[RecordEnd]
    lacking: int
    comparison: Comparison
    changed: Sequence[str]
    problems: Mapping[str, str]
    seconds: float

    @property
    def completed(self) -> int:
        """Cases whose search the record reached to its end."""
        return self.records - len(self.ends)

    @property
    def damaged(self) -> int:
        """Cases that end at a reply of the record that is not what was stored."""
        return sum(end.damaged for end in self.ends)

    @property
    def exit_code(self) -> int:
        """The exit code: 74 where a reply is damaged, or the run's own configuration does not give its own rows."""
        # A changed configuration may well give other rows: then a difference is what one wanted to see.
        failed = self.damaged or (not self.changed and (self.comparison.differing or self.lacking))
        return EXIT_CANNOT_WRITE if failed else EXIT_OK

    def count_by_round(self) -> list[dict[str, int]]:
        """Cases that the record does not reach, by the attempt and the round in which it ends."""
        counts = Counter((end.attempt, end.round) for end in self.ends)
        return [{"attempt": a, "round": r, "cases": count} for (a, r), count in sorted(counts.items())]

    def as_json(self) -> dict[str, Any]:
        """The account as JSON holds it."""
        # Names and order are a file format: `summary.json` of a replay holds them.
        told = self.comparison
        return {
            "completed": self.completed,
            "beyond_record": len(self.ends),
            "damaged": self.damaged,
            "record_ends": self.count_by_round(),
            "changed": list(self.changed),
            "same": told.same,
            "differing": told.differing,
            "differing_examples": told.examples,
            "not_in_run": told.added,
            "outcomes_run": dict(told.before),
            "outcomes_replay": dict(told.after),
            "unreadable": dict(self.problems),
        }


def print_account(console: Console, account: Account) -> None:
    """Print how far the record reached, the outcomes side by side, and what differs."""
    told = account.comparison
    if account.changed:
        _print_lines(console, "changed against the run:", account.changed)
    console.print(_make_reach_table(account), _make_outcome_table(told))
    for name, problem in account.problems.items():
        console.print(f"{name} cannot be read: {problem}", style="yellow", markup=False)
    if told.differing:
        names = ", ".join(map(make_one_line, told.examples)) + (", …" if told.differing > len(told.examples) else "")
        style = "yellow" if account.changed else "red"
        console.print(f"{told.differing} differ from the run: {names}", style=style, markup=False, soft_wrap=True)
    if account.damaged:
        counting = f"scripts/cache.py verify run.dir={account.folder.parents[1]} counts such replies"
        ends = f"the record is damaged: {account.damaged} cases end at a reply that is not what was stored; {counting}"
        console.print(ends, style="red", markup=False, soft_wrap=True)
    if not account.changed and account.lacking:
        console.print(f"the record does not reach {account.lacking} cases that the run has", style="red")
    if account.exit_code == EXIT_OK and not account.changed:
        console.print(f"{told.same} cases, each the same as in the run", style="green")
    console.print(f"rows     {account.folder}/results/part-*.parquet", markup=False, soft_wrap=True)
    console.print(f"summary  {account.folder}/summary.json", markup=False, soft_wrap=True)


def _print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(title)
    for line in lines:
        console.print(f"  {line}", markup=False, soft_wrap=True)


def _make_reach_table(account: Account) -> Table:
    table = Table(title=f"{account.records} cases replayed in {account.seconds:.1f} s", title_justify="left")
    table.add_column("the record")
    table.add_column("cases", justify="right")
    table.add_row("reaches to the end of the search", str(account.completed))
    for row in account.count_by_round():
        table.add_row(f"ends in round {row['round']} of attempt {row['attempt']}", str(row["cases"]))
    return table


def _make_outcome_table(told: Comparison) -> Table:
    table = Table(title="outcomes of the cases that both have", title_justify="left")
    for name in ("outcome", "run", "replay"):
        table.add_column(name, justify="left" if name == "outcome" else "right")
    # In the order of the enumeration, as every report lists outcomes.
    for name in Outcome:
        if told.before[name] or told.after[name]:
            table.add_row(name, str(told.before[name]), str(told.after[name]))
    return table
