"""Charts take half a second to draw: tests of what lies around them have an empty picture; test_draw draws."""

import pytest

from mics_ray.review import report


@pytest.fixture(autouse=True)
def _draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        report, "draw_chart", lambda chart: f'<svg xmlns="http://www.w3.org/2000/svg" id="{chart.name}"/>'
    )
