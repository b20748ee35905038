"""A report as a picture: accuracy per benchmark with its interval, the paper's figures as marks beside it."""

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eval.reports.paper import is_whole

BAR, INK, RULE = "#3b6fb6", "#1f2933", "#d5dae1"
MARKS = (("o", "#e07a1f"), ("D", "#2a8c6a"), ("s", "#b0485a"), ("^", "#7b5ea7"))
"""Shape and colour of the paper's models, in their order."""
ROOM = 8.0
"""Percent; a shorter bar has no room for its figure, which stands behind the interval then."""


def draw_report(report: Mapping[str, Any]) -> bytes:
    """The chart as PNG: a horizontal bar per benchmark, in percent."""
    found = report["benchmarks"]
    figure = Figure(figsize=(9, 1.9 + 0.55 * len(found)), layout="constrained")
    # Not pyplot: it keeps every figure of the process, and looks for a display.
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_bars(axes, found)
    _draw_paper_figures(axes, found)
    _style_axes(axes, report)
    file = io.BytesIO()
    # Without the software's name: the same report gives the same bytes.
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def _draw_bars(axes: Axes, found: Mapping[str, Any]) -> None:
    for place, one in enumerate(found.values()):
        if one["accuracy"] is None:
            axes.text(1, place, "every call was lost", va="center", color=INK, fontsize=9)
            continue
        value = 100 * one["accuracy"]
        # One picture alone has no interval: the bar stands without whiskers.
        low, high = (value if one[name] is None else 100 * one[name] for name in ("low", "high"))
        axes.barh(place, value, height=0.56, color=BAR, zorder=2)
        # Clipped at 0: an interval's end may lie beyond its value by a rounding error, which matplotlib refuses.
        ends = [[max(0, value - low)], [max(0, high - value)]]
        if one["low"] is not None:
            axes.errorbar(value, place, xerr=ends, color=INK, capsize=4, lw=1.4, zorder=3)
        inside = value >= ROOM
        axes.text(
            1.2 if inside else high + 1.2, place, f"{value:.1f}", va="center", color="white" if inside else INK,
            fontsize=10, fontweight="bold", zorder=4,
        )  # fmt: skip


def _draw_paper_figures(axes: Axes, found: Mapping[str, Any]) -> None:
    """Figures of whole benchmarks; those of one kind or topic stand in the tables, for the bar is of all items."""
    figures = [one["paper"]["figures"] if is_whole(one["paper"]) else {} for one in found.values()]
    models = list(dict.fromkeys(model for one in figures for model in one))
    for model, (shape, colour) in zip(models, MARKS, strict=False):
        places = [(one[model], place) for place, one in enumerate(figures) if model in one]
        axes.scatter(
            [value for value, _ in places],
            [place + 0.38 for _, place in places],
            marker=shape,
            color=colour,
            s=34,
            zorder=5,
            label=f"{model} (paper)",
        )
    if models:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False, fontsize=8.5)


def _style_axes(axes: Axes, report: Mapping[str, Any]) -> None:
    found = report["benchmarks"]
    labels = [f"{name}{' *' if one['in_domain'] else ''}\n{one['known']:,} items" for name, one in found.items()]
    axes.set_yticks(range(len(found)), labels, fontsize=9.5)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel(
        "lenient accuracy, % (95 % interval clustered by picture)" + _in_domain_footnote(found), fontsize=9.5
    )
    axes.set_title(_shorten_name(report["model"]), loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.grid(axis="x", color=RULE, lw=0.8, zorder=0)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _in_domain_footnote(found: Mapping[str, Any]) -> str:
    return "     * in-domain for the paper's mix" if any(one["in_domain"] for one in found.values()) else ""


def _shorten_name(name: str) -> str:
    return name if len(name) <= 90 else f"…{name[-89:]}"
