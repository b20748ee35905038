"""What `scripts/watch.py` draws: one run on one screen."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mics_ray.core.display import make_one_line
from mics_ray.core.types import Outcome
from mics_ray.runtime.monitor.progress import COLOURS, format_clock
from mics_ray.runtime.monitor.watch_view import ModelView, RunView

FINISHED = "finished"
"""The state of a run that has every row."""
SPARE = ("out", "tokens in", "prefix hits", "cached", "waited", "retries", "working", "queue")
"""Columns that a narrow terminal goes without, the first one first."""
WIDEST = 1000  # columns: a width at which rich cuts nothing, to measure the table
PACE_S = 120.0
"""The span that a pace is taken over; cases are committed in batches, up to a minute apart."""


class Pace:
    """Cases and calls per second over the last two minutes of looking."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, float]] = deque()

    def note_view(self, now: float, view: RunView) -> None:
        """Remember where the run stands at ``now`` (seconds)."""
        self._seen.append((now, view.done, sum(model.replies for model in view.models.values())))
        # Never empty afterwards: the look that was just added is 0 s old.
        while now - self._seen[0][0] > PACE_S:
            self._seen.popleft()

    @property
    def cases_per_s(self) -> float | None:
        """Cases per second; ``None`` before two looks."""
        return self._per_second(1)

    @property
    def calls_per_s(self) -> float | None:
        """Calls per second; ``None`` before two looks."""
        return self._per_second(2)

    def _per_second(self, figure: int) -> float | None:
        first, last = (self._seen[0], self._seen[-1]) if self._seen else ((0.0, 0, 0.0), (0.0, 0, 0.0))
        span = last[0] - first[0]
        return (last[figure] - first[figure]) / span if span else None


def draw_screen(view: RunView, pace: Pace) -> RenderableType:
    """One run: how far it is, its models, what was lost, the last cases."""
    parts: list[RenderableType] = [_draw_progress(view, pace)]
    if view.done:
        parts.append(_draw_outcomes(view))
    parts.append(_draw_rates(view, pace))
    if view.models:
        parts.append(_ModelsTable(view.models))
    if view.lost:
        parts.append(Text("lost votes and candidates  " + _format_counts(view.lost), "red"))
    if view.recent:
        parts.append(_recent_table(view.recent))
    parts += [Text(note, "yellow") for note in view.notes]
    colour = "green" if view.state in ("running", FINISHED) else "yellow"
    return Panel(Group(*parts), title=Text(f"{view.run}: {view.state}", colour), title_align="left")


def _draw_progress(view: RunView, pace: Pace) -> RenderableType:
    if view.total is None:
        return Text(f"{view.done:,} cases")
    grid = Table.grid(padding=(0, 1))
    text = f"{view.done:,} of {view.total:,} cases"
    if pace.cases_per_s and view.done < view.total:
        text += f", {format_clock((view.total - view.done) / pace.cases_per_s)} left"
    grid.add_row(ProgressBar(max(view.total, 1), min(view.done, view.total), width=30), text)
    return grid


def _draw_outcomes(view: RunView) -> Text:
    text = Text()
    for name in Outcome:
        if count := view.outcomes.get(name):
            text.append(f"{name} {count:,}  ", COLOURS[name])
    if view.quality:
        text.append(f"kept chains: {_format_counts(view.quality)}")
    return text


def _draw_rates(view: RunView, pace: Pace) -> Text:
    """What moves: pace, open searches, lag, money."""
    parts = [] if view.open is None else [f"open searches {view.open:.0f}"]
    if view.done and pace.cases_per_s is not None:
        parts.append(f"{60 * pace.cases_per_s:.1f} cases/min")
    if view.done and pace.calls_per_s is not None:
        parts.append(f"{pace.calls_per_s:.1f} calls/s")
    if view.lag_s is not None:
        parts.append(f"commit lag {view.lag_s:.1f} s")
    parts.append(f"{view.cost_usd:.4f} USD")
    return Text("   ".join(parts))


@dataclass(frozen=True, slots=True)
class _ModelsTable:
    """A row for each model; a figure that is known of none has no column, nor one that a narrow terminal would cut."""

    models: Mapping[str, ModelView]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw in the width that there is."""
        rows = {name: _format_model(model) for name, model in sorted(self.models.items())}
        columns = [name for name in next(iter(rows.values())) if any(cells[name] for cells in rows.values())]
        table = _build_models_table(rows, columns)
        for spare in SPARE:
            if Measurement.get(console, options.update(max_width=WIDEST), table).maximum <= options.max_width:
                break
            columns = [name for name in columns if name != spare]
            table = _build_models_table(rows, columns)
        yield table


def _build_models_table(rows: Mapping[str, Mapping[str, str]], columns: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(Text(name), *(cells[column] or "-" for column in columns))
    return table


def _format_model(model: ModelView) -> dict[str, str]:
    """The figures of a model by column, in order; empty where a figure is not known."""
    return {
        "replies": f"{model.replies:,.0f}",
        "cached": f"{model.cached:,.0f}",
        "failed": "" if model.failures is None else _format_counts(model.failures) or "0",
        "retries": _format_figure(model.retries),
        "tokens in": _shorten_number(model.prompt_tokens),
        "out": _shorten_number(model.completion_tokens),
        "USD": f"{model.cost_usd:.4f}",
        "waited": "" if model.waited_s is None else format_clock(model.waited_s),
        "queue": _format_figure(model.queue),
        "working": _format_figure(model.in_flight),
        "prefix hits": "" if model.hit_share is None else f"{100 * model.hit_share:.0f} %",
    }


def _recent_table(lines: list[Mapping[str, object]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("last cases", no_wrap=True, max_width=30)
    for name in ("UTC", "outcome", "quality", "rounds", "calls", "USD", "s"):
        table.add_column(name, no_wrap=True)
    table.add_column("failures")  # the one that a narrow terminal breaks
    for line in lines:
        failures = line["failures"]
        table.add_row(
            Text(make_one_line(str(line["case"]))),
            str(line["time"])[11:19],
            Text(str(line["outcome"]), COLOURS.get(str(line["outcome"]), "")),
            *(Text(str(line[name])) for name in ("quality", "rounds", "calls", "cost_usd", "seconds")),
            Text(_format_counts(failures) if isinstance(failures, dict) else ""),
        )
    return table


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))


def _format_figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _shorten_number(value: float) -> str:
    """Thousands and millions in short."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}"
