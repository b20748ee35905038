"""Charts as pictures: well-formed, the same every time, without anything that runs; marks beside colours."""

from xml.etree import ElementTree

import pytest

from mics_ray.review.data.chart import Chart, Series, format_value
from mics_ray.review.page.draw import draw_chart

HOSTILE = "</svg><script>alert(1)</script> $\\frac{$ \u202e"


def make_chart(form: str, style: str = "count", label: str = "a", places: int = 3, series: int = 2) -> Chart:
    values = tuple(None if at == 1 else float(at) / 4 for at in range(places))
    rows = tuple(Series(f"{label} {at}", values) for at in range(series))
    return Chart("x", label, "about", form, label, "second", tuple(f"{label}{at}" for at in range(places)), rows, style)


@pytest.mark.parametrize(
    "chart",
    [
        make_chart("lines", "share"),
        make_chart("bars", "signed"),
        make_chart("stacks", label="a model's very long name, as people give them"),
        make_chart("bars", label=HOSTILE, places=1, series=1),
        make_chart("lines", places=1, series=20),
    ],
    ids=["lines", "bars", "across", "hostile", "many"],
)
def test_a_chart_is_a_picture_and_nothing_else(chart: Chart) -> None:
    drawn = draw_chart(chart)
    root = ElementTree.fromstring(drawn)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    described = {"metadata", "RDF", "Work", "title", "type", "format", "creator", "Agent", "date"}
    drawn_by = {"svg", "defs", "style", "g", "path", "use", "clipPath", "rect", "pattern", "polygon"}
    assert tags <= described | drawn_by
    assert len(drawn) < 120_000


def test_the_same_chart_gives_the_same_bytes() -> None:
    assert draw_chart(make_chart("stacks")) == draw_chart(make_chart("stacks"))


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (None, "count", "–"), (1234.0, "count", "1,234"), (0.5, "share", "50.0 %"), (-0.25, "signed", "-0.250"),
        (0.12345, "usd", "$0.1235"), (1234.5, "number", "1,234.500"),
    ],
)  # fmt: skip
def test_figures_are_written_for_reading(value: float | None, style: str, text: str) -> None:
    assert format_value(value, style) == text
