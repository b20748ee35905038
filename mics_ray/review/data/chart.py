"""A chart as data: what is drawn, what it says, and the table that says the same in figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["bars", "stacks", "lines"]


@dataclass(frozen=True, slots=True)
class Series:
    """One row of values over a chart's places; ``None`` where there is none."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. ``about`` says in words what is counted; ``places`` are the points of its first axis.

    ``more`` are columns of the table that are not drawn; ``style`` is how figures are written: ``count``, ``share``
    (0 to 1, shown in percent), ``signed``, ``number`` or ``usd``.
    """

    name: str
    title: str
    about: str
    form: Form
    first: str
    second: str
    places: tuple[str, ...]
    series: tuple[Series, ...]
    style: str = "count"
    more: tuple[Series, ...] = ()

    def tabulate(self) -> tuple[list[str], list[list[str]]]:
        """The head and the rows of the table, in the words that people read."""
        head = [self.first, *(one.label for one in (*self.series, *self.more))]
        rows = [
            [place, *(format_value(one.values[at], self.style) for one in self.series),
             *(format_value(one.values[at], "count") for one in self.more)]
            for at, place in enumerate(self.places)
        ]  # fmt: skip
        return head, rows


def format_value(value: float | None, style: str) -> str:
    """A figure for reading; a dash where there is none."""
    if value is None:
        return "–"
    if style == "share":
        return f"{100 * value:.1f} %"
    if style == "signed":
        return f"{value:+.3f}"
    if style == "usd":
        return f"${value:,.4f}"
    return f"{value:,.0f}" if style == "count" else f"{value:,.3f}"


def count_series(label: str, counts: Mapping[Any, int], keys: Sequence[Any]) -> Series:
    """A series of counts; what was not counted is 0."""
    return Series(label, tuple(float(counts.get(key, 0)) for key in keys))
