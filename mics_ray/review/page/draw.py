"""Charts as SVG pictures, by matplotlib: they print sharp, need no script, and are told apart without colour.

Bars have hatches, lines have marks and dashes, and every bar that has room its figure. Letters are drawn as shapes, so
that a chart looks the same wherever it is opened. The same chart gives the same bytes.
"""

import io
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mics_ray.review.data.chart import Chart, format_value

INK, RULE = "#1c2430", "#c9d1da"
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a6f9b", "#8c8c8c")
"""Okabe and Ito's, told apart with any kind of colour vision."""
HATCHES = ("", "////", "xxx", "----", "\\\\", "||||", "+++", "//--")  # none of dots: a thousand of them each
MARKS, DASHES = "osD^vPX*", ("-", "--", "-.", ":")
MOST_SERIES = 16
"""Lines that a reader can follow; the table has all of them."""
LONG_LABEL = 12
WIDTH, HEIGHT = 5.4, 3.1
_SETTINGS = {
    "svg.hashsalt": "mics", "svg.fonttype": "path", "font.size": 9.5, "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a model's name may hold a dollar
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
}  # fmt: skip


def draw_chart(chart: Chart) -> str:
    """The chart as SVG on a transparent ground."""
    across = _stands_across(chart)
    height = max(HEIGHT, 1.3 + 0.32 * len(chart.places) * _count_bars(chart)) if across else HEIGHT
    with mpl.rc_context(_SETTINGS):
        # Not pyplot: it keeps every figure of the process, and looks for a display.
        figure = Figure(figsize=(WIDTH, min(height, 12)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if chart.form == "lines":
            _draw_lines(axes, chart)
        else:
            _draw_bars(axes, chart, across)
        _style_axes(axes, chart, across)
        file = io.BytesIO()
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Title": chart.title}
        )
    return file.getvalue().decode()


def _stands_across(chart: Chart) -> bool:
    """Whether bars go from left to right: long names have no room below."""
    return chart.form != "lines" and max(map(len, chart.places)) > LONG_LABEL


def _count_bars(chart: Chart) -> int:
    return len(chart.series) if chart.form == "bars" else 1


def _draw_lines(axes: Axes, chart: Chart) -> None:
    for at, one in enumerate(chart.series[:MOST_SERIES]):
        values = [float("nan") if value is None else value for value in one.values]
        axes.plot(
            range(len(values)), values, label=_show_label(one.label), color=COLOURS[at % len(COLOURS)],
            marker=MARKS[at % len(MARKS)], linestyle=DASHES[at % len(DASHES)],
            markersize=5, linewidth=1.6, markevery=max(1, len(values) // 8),
        )  # fmt: skip


def _draw_bars(axes: Axes, chart: Chart, across: bool) -> None:
    """Bars beside each other, or stacked."""
    stacked = chart.form == "stacks"
    width = 0.8 / _count_bars(chart)
    bottoms = [0.0] * len(chart.places)
    for at, one in enumerate(chart.series):
        values = [value or 0.0 for value in one.values]
        shift = 0.0 if stacked else (at - (len(chart.series) - 1) / 2) * width
        places = [number + shift for number in range(len(values))]
        style: dict[str, Any] = {
            "color": COLOURS[at % len(COLOURS)], "hatch": HATCHES[at % len(HATCHES)], "edgecolor": INK,
            "linewidth": 0.6, "label": _show_label(one.label),
        }  # fmt: skip
        style["left" if across else "bottom"] = bottoms if stacked else 0
        draw: Any = axes.barh if across else axes.bar
        bars = draw(places, values, width * 0.94, **style)
        if stacked:
            bottoms = [bottom + value for bottom, value in zip(bottoms, values, strict=True)]
        elif len(chart.series) * len(chart.places) <= 15:
            axes.bar_label(
                bars, [_label_bar(value, chart.style) for value in one.values], padding=2, fontsize=8, color=INK
            )
    if stacked and len(chart.places) <= 24:
        _label_totals(axes, bottoms, across)


def _label_bar(value: float | None, style: str) -> str:
    """A figure short enough to stand above its bar; the table has it in full."""
    if value is None:
        return ""
    return (
        f"{100 * value:.0f} %"
        if style == "share"
        else f"{value:+.2f}"
        if style == "signed"
        else format_value(value, style)
    )


def _label_totals(axes: Axes, totals: Sequence[float], across: bool) -> None:
    for at, total in enumerate(totals):
        place = (total, at) if across else (at, total)
        offset, align = ((3, 0), ("left", "center")) if across else ((0, 2), ("center", "bottom"))
        axes.annotate(
            format_value(total, "count"),
            place,
            offset,
            textcoords="offset points",
            ha=align[0],
            va=align[1],
            fontsize=8,
        )


def _show_label(label: str) -> str:
    """A label that a legend shows: matplotlib takes one that begins with an underscore for its own."""
    return f" {label}" if label.startswith("_") else label


def _style_axes(axes: Axes, chart: Chart, across: bool) -> None:
    every = max(1, len(chart.places) // 8) if chart.form == "lines" else 1
    ticks = range(0, len(chart.places), every)
    labels = [_shorten(chart.places[at]) for at in ticks]
    if across:
        axes.set_yticks(ticks, labels)
        axes.invert_yaxis()
        axes.set_xlabel(chart.second)
    else:
        axes.set_xticks(ticks, labels)
        axes.set_xlabel(chart.first)
        axes.set_ylabel(chart.second)
    values = axes.xaxis if across else axes.yaxis
    if chart.style == "share":
        values.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    elif chart.style == "count":
        values.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.margins(x=0.14 if across else None, y=None if across else 0.14)
    if chart.style != "signed":
        axes.set_xlim(left=0) if across else axes.set_ylim(bottom=0)
    else:
        axes.axhline(0, color=INK, linewidth=0.8)
    axes.grid(axis="x" if across else "y", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(chart.series) > 1:
        columns = max(1, min(3, 64 // max(6 + len(one.label) for one in chart.series)))
        # Of the figure, not of the axes: long names beside these leave little room below them.
        axes.figure.legend(loc="outside lower left", ncols=columns, frameon=False, fontsize=8.5, handlelength=2.6)


def _shorten(label: str) -> str:
    """A label in lines short enough to leave the bars their room."""
    return "\n".join(wrap(label if len(label) <= 60 else f"{label[:59]}…", 28))
