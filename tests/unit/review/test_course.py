"""Charts from a run's logs: outcomes over time, time by role and waiting."""

import json
from pathlib import Path

import pytest

from mics_ray.review.data.course import POINTS, chart_outcomes, chart_times
from mics_ray.runtime.monitor.latency import LATENCIES, find_bucket


def write_log(run: Path, *lines: str) -> None:
    (run / "logs").mkdir()
    (run / "logs/cases.jsonl").write_text("".join(f"{line}\n" for line in lines))


def make_line(clock: str, outcome: str) -> str:
    return json.dumps({"time": f"2026-11-25T{clock}Z", "case": "x", "outcome": outcome})


def test_outcomes_are_added_up_over_the_hours(tmp_path: Path) -> None:
    """A line cut off by a full disk, one of no outcome, and bytes of no text say nothing."""
    hours = [make_line("00:00:00", "solved"), make_line("12:00:00", "depth"), make_line("23:59:00", "solved")]
    write_log(
        tmp_path,
        *hours,
        '{"time": "2026-',
        make_line("13:00:00", "nothing"),
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    )
    chart = chart_outcomes(tmp_path)
    assert chart is not None
    assert (len(chart.places), chart.places[-1]) == (POINTS, "24")
    found = {series.label: series.values for series in chart.series}
    assert set(found) == {"solved", "depth"}
    assert (found["solved"][0], found["solved"][-1]) == (1, 2)
    assert (found["depth"][POINTS // 2 - 1], found["depth"][POINTS // 2]) == (0, 1)


def test_a_run_of_one_moment_has_one_place(tmp_path: Path) -> None:
    write_log(tmp_path, make_line("00:00:00", "solved"), make_line("00:00:00", "failed"))
    chart = chart_outcomes(tmp_path)
    assert chart is not None
    assert [(series.label, series.values) for series in chart.series] == [("solved", (1,)), ("failed", (1,))]


def test_without_logs_there_is_no_chart(tmp_path: Path) -> None:
    assert chart_outcomes(tmp_path) is None
    assert chart_times(tmp_path, {}) is None


def test_waiting_is_apart_where_the_run_noted_it(tmp_path: Path) -> None:
    latencies = {"gpt": {str(find_bucket(1.0)): 10}, "tiny": {str(find_bucket(1.0)): 4}}
    roles = {"gpt": "mentor", "tiny": "intern", "judge": "judge"}
    (tmp_path / LATENCIES).write_text(json.dumps({"latencies": latencies}))
    chart = chart_times(tmp_path, roles)
    assert chart is not None
    assert chart.places == ("intern tiny", "mentor gpt")
    assert chart.series[0].values == pytest.approx((4, 10))
    assert "is part of them" in chart.about
    (tmp_path / LATENCIES).write_text(json.dumps({"latencies": latencies, "waited_s": {"gpt": 6.0, "gone": 1.0}}))
    chart = chart_times(tmp_path, roles)
    assert chart is not None
    assert [series.values for series in chart.series] == [pytest.approx((4, 4)), pytest.approx((0, 6))]
    assert chart.tabulate()[1][1] == ["mentor gpt", "4", "6", "10"]
