"""Charts of a run's course, from its logs and noted latencies: outcomes over time, time by role and waiting."""

import json
from array import array
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mics_ray.core.types import Outcome
from mics_ray.private_files import read_json_object
from mics_ray.review.data.chart import Chart, Series
from mics_ray.runtime.monitor.latency import LATENCIES, bucket_seconds
from mics_ray.runtime.monitor.logs import CASE_LOG

POINTS = 24
"""Moments at which cases are counted."""
_OUTCOMES = tuple(outcome.value for outcome in Outcome)


def chart_outcomes(run: Path) -> Chart | None:
    """Committed cases by outcome over the time of the run; ``None`` without a log of cases."""
    times, codes = _read_case_log(run / "logs" / CASE_LOG)
    if not times:
        return None
    first, last = min(times), max(times)
    bounds = [first + (last - first) * at / POINTS for at in range(1, POINTS + 1)] if last > first else [last]
    unit, size = _choose_unit(last - first)
    counts = {name: [0.0] * len(bounds) for name in _OUTCOMES}
    for moment, code in zip(times, codes, strict=True):
        at = 0 if last == first else min(len(bounds) - 1, max(0, int((moment - first) / (last - first) * POINTS)))
        counts[_OUTCOMES[code]][at] += 1
    for values in counts.values():
        for at in range(1, len(values)):
            values[at] += values[at - 1]
    return Chart(
        "outcomes", "Outcomes over time",
        "Committed cases by outcome, added up, from the log of cases. A flat stretch is a time in which nothing ran. "
        "Of a case that was searched again both ends are counted.",
        "lines", f"{unit} since the first", "cases", tuple(_format_time((bound - first) / size) for bound in bounds),
        tuple(Series(name, tuple(values)) for name, values in counts.items() if values[-1]),
    )  # fmt: skip


def _read_case_log(path: Path) -> "tuple[array[int], array[int]]":
    """Seconds since 1970 and the outcome's number of each line that can be read: 9 bytes a case in memory."""
    times, codes = array("q"), array("b")
    for line in _read_lines(path):
        try:
            found = json.loads(line)
            moment = datetime.fromisoformat(found["time"]).timestamp()
            code = _OUTCOMES.index(found["outcome"])
        except (ValueError, KeyError, TypeError):
            continue  # a line that a full disk cut off
        times.append(int(moment))
        codes.append(code)
    return times, codes


def _read_lines(path: Path) -> Iterable[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError:
        return


def _choose_unit(seconds: float) -> tuple[str, int]:
    """The unit in which a run of this length is told, and its seconds."""
    units = (("days", 86_400), ("hours", 3_600), ("minutes", 60))
    return next(((name, size) for name, size in units if seconds >= 3 * size), ("seconds", 1))


def _format_time(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def chart_times(run: Path, roles: Mapping[str, str]) -> Chart | None:
    """Seconds of calls by model, waiting for a permit apart where the run noted it; ``None`` without latencies.

    ``roles`` is the role of each model by its entry name.
    """
    noted = read_json_object(run / LATENCIES)
    spent = {name: _sum_seconds(buckets) for name, buckets in (noted.get("latencies") or {}).items()}
    models = tuple(sorted(spent, key=lambda name: (roles.get(name, ""), name)))
    if not models:
        return None
    waited = {
        name: min(spent[name], float(seconds))
        for name, seconds in (noted.get("waited_s") or {}).items()
        if name in spent
    }
    places = tuple(f"{roles[name]} {name}" if roles.get(name, name) != name else name for name in models)
    series = [Series("working, seconds", tuple(spent[name] - waited.get(name, 0.0) for name in models))]
    if waited:
        series.append(Series("waiting for its quota, seconds", tuple(waited.get(name, 0.0) for name in models)))
    about = "Seconds of all calls of the last session, added up; replies from the cache took none."
    if not waited:
        about += " Waiting for a model's quota is part of them."
    calls = Series("calls", tuple(float(sum(noted["latencies"][name].values())) for name in models))
    return Chart(
        "times", "Time by role and waiting", about, "stacks", "model", "seconds of calls", places, tuple(series),
        more=(calls,),
    )  # fmt: skip


def _sum_seconds(buckets: Mapping[str, Any]) -> float:
    return float(sum(bucket_seconds(int(number)) * count for number, count in buckets.items()))
