"""What a person sees while a run works: one live line on a terminal, a line now and then elsewhere."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mics_ray.core.types import Outcome

COLOURS: dict[str, str] = dict(zip(Outcome, ("green", "cyan", "yellow", "red", "magenta"), strict=True))
LINE_EVERY_S = 5.0  # without a terminal: often enough to see that it moves, rarely enough for a log

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a run stands: all counts are of cases, ``calls`` of model calls of this session."""

    total: int
    before: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    searching: int = 0
    calls: int = 0
    cached: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Committed cases, earlier sessions included."""
        return self.before + sum(self.outcomes.values())

    @property
    def left_s(self) -> float | None:
        """Seconds left at this session's pace; ``None`` before the first case."""
        here = sum(self.outcomes.values())
        return (self.total - self.done) * self.seconds / here if here and self.seconds else None


class Progress:
    """Shows phases and snapshots on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._printed = 0.0

    def show_phase(self, text: str) -> None:
        """Say what begins; the driver's log keeps it."""
        log.info("%s", text)
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {escape(text)}", highlight=False, soft_wrap=True)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Bring the line up to date."""
        self.show_line(snapshot.done, snapshot.total, progress_line(snapshot))

    def show_line(self, done: int, total: int, text: Text) -> None:
        """Show ``text`` beside a bar; without a terminal at most one line every few seconds."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=4, transient=True)
                self._live.start()
            self._live.update(_draw_bar(done, total, text))
        elif time.monotonic() - self._printed >= LINE_EVERY_S:
            self._printed = time.monotonic()
            self.show_phase(str(text))

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress_line(snapshot: Snapshot) -> Text:
    """Cases done, outcomes, calls, rate and time left, in one line."""
    text = Text(f"{snapshot.done}/{snapshot.total} cases  ")
    for name in Outcome:
        if count := snapshot.outcomes.get(name):
            text.append(f"{name} {count}  ", COLOURS[name])
    rate = snapshot.calls / snapshot.seconds if snapshot.seconds else 0.0
    text.append(f"open {snapshot.searching}  calls {snapshot.calls:,} ({snapshot.cached:,} cached), {rate:.0f}/s")
    if snapshot.left_s is not None:
        text.append(f"  {format_clock(snapshot.left_s)} left")
    return text


def _draw_bar(done: int, total: int, text: Text) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(max(total, 1), done, width=20), text)
    return grid


def format_clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
