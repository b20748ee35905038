"""The Grafana dashboard of a run, made from the table of metrics."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.metrics import Metric

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, ACROSS = 8, 8, 3
"""Of a panel in Grafana's grid of 24 columns, and panels in a row."""
RATE = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: what it shows of which metric. ``exprs`` are pairs of legend and PromQL."""

    title: str
    metric: Metric
    unit: str
    exprs: tuple[tuple[str, str], ...]
    help: str


def select(metric: Metric, suffix: str = "", **labels: str) -> str:
    """PromQL for the series of a metric in the chosen runs."""
    inside = ", ".join(['run=~"$run"', *(f'{name}="{value}"' for name, value in labels.items())])
    return f"{metric.exported}{suffix}{{{inside}}}"


def summed(metric: Metric, *by: str, per: str = "") -> tuple[tuple[str, str], ...]:
    """The metric summed over everything but ``by``; of a counter its rate, times ``per``."""
    series = select(metric)
    if metric.kind == "counter":
        series = f"rate({series}{RATE})"
    legend = " ".join(f"{{{{{tag}}}}}" for tag in by) or "all"
    return ((legend, f"sum by ({', '.join(by)}) ({series}){per}" if by else f"sum({series}){per}"),)


def panel(title: str, metric: Metric, unit: str, *by: str, per: str = "") -> Panel:
    """A chart of one metric, summed."""
    return Panel(title, metric, unit, summed(metric, *by, per=per), metric.help)


def quantiles(metric: Metric) -> tuple[tuple[str, str], ...]:
    """The median and the 95th percentile of a histogram."""
    rate = f"sum by (le) (rate({select(metric, '_bucket')}{RATE}))"
    return tuple((name, f"histogram_quantile({share}, {rate})") for name, share in (("median", 0.5), ("95 %", 0.95)))


def hit_share() -> tuple[tuple[str, str], ...]:
    """Hits of the prefix cache over prompt tokens, by intern."""
    hit, seen = (f"sum by (model) (rate({select(metrics.PREFIX_TOKENS, kind=kind)}{RATE}))" for kind in ("hit", "seen"))
    return (("{{model}}", f"{hit} / {seen}"),)


PANELS = (
    panel("Cases per minute", metrics.CASES, "short", "outcome", per=" * 60"),
    Panel(
        "Cases by outcome and quality", metrics.CASES, "short",
        (("{{outcome}} {{quality}}", f"sum by (outcome, quality) ({select(metrics.CASES)})"),), metrics.CASES.help,
    ),
    panel("Open searches", metrics.OPEN, "short"),
    panel("Calls per second by model", metrics.CALLS, "reqps", "model"),
    panel("Calls per second by result", metrics.CALLS, "reqps", "result"),
    panel("Retries per second", metrics.RETRIES, "reqps", "model"),
    panel("Tokens per second", metrics.TOKENS, "short", "model", "kind"),
    Panel(
        "US dollars spent", metrics.COST, "currencyUSD",
        (("{{model}}", f"sum by (model) ({select(metrics.COST)})"),), metrics.COST.help,
    ),
    panel("US dollars per hour", metrics.COST, "currencyUSD", "model", per=" * 3600"),
    panel("Calls waiting for a permit (mean of the rate)", metrics.WAITED, "short", "model"),
    panel("Queue at the limiter", metrics.LIMITER_QUEUE, "short", "model"),
    panel("Calls in flight", metrics.IN_FLIGHT, "short", "model"),
    panel("Intern queue", metrics.INTERN_QUEUE, "short", "model"),
    panel("Requests at each replica", metrics.REPLICA_REQUESTS, "short", "model", "replica"),
    Panel("Prefix-cache hit share", metrics.PREFIX_TOKENS, "percentunit", hit_share(), metrics.PREFIX_TOKENS.help),
    panel("Lost votes and candidates per minute", metrics.LOST, "short", "kind", per=" * 60"),
    Panel("Commit lag", metrics.COMMIT_LAG, "s", quantiles(metrics.COMMIT_LAG), metrics.COMMIT_LAG.help),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Grafana's model of the dashboard."""
    return {
        "uid": "mics-ray",
        "title": "MICS on Ray",
        "tags": ["mics", "ray"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), _run()]},
        "panels": [_chart(number, one) for number, one in enumerate(PANELS)],
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1) + "\n"


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _run() -> dict[str, Any]:
    """The choice of runs, by the tag ``run``: the run folder's name."""
    query = f"label_values({metrics.OPEN.exported}, run)"
    return {
        "name": "run", "label": "Run", "type": "query", "datasource": DATASOURCE, "query": query, "definition": query,
        "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*", "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def _chart(number: int, one: Panel) -> dict[str, Any]:
    row, column = divmod(number, ACROSS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": one.title,
        "description": one.help,
        "datasource": DATASOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": one.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for place, (legend, expr) in enumerate(one.exprs)
        ],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file that Grafana imports")
    out: Path = parser.parse_args(argv).out
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text())


if __name__ == "__main__":
    main()
