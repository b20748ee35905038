"""The Grafana dashboard, a file that people edit: what it asks for exists, each metric is shown and explained."""

import json
import re
from pathlib import Path
from typing import Any

from mics_ray.runtime.monitor.metrics import ALL, RAY_PREFIX

ROOT = Path(__file__).resolve().parents[4]
MODEL: dict[str, Any] = json.loads((ROOT / "cluster/grafana/mics.json").read_text())
TARGETS = [(panel, target) for panel in MODEL["panels"] for target in panel["targets"]]
METRICS = {metric.exported: metric for metric in ALL}
SERIES = re.compile(rf"({RAY_PREFIX}mics_\w+)" + r"\{([^}]*)\}")


def test_every_metric_has_a_panel_and_every_panel_asks_for_one() -> None:
    asked = set()
    for panel, target in TARGETS:
        found = SERIES.findall(target["expr"])
        assert found, panel["title"]
        assert all('run=~"$run"' in tags for _, tags in found), panel["title"]
        asked |= {name.removesuffix("_bucket") for name, _ in found}
        assert panel["description"] in {METRICS[name.removesuffix("_bucket")].help for name, _ in found}
    assert asked == set(METRICS)


def test_a_panel_groups_and_filters_by_tags_that_its_metric_has() -> None:
    for panel, target in TARGETS:
        for name, tags in SERIES.findall(target["expr"]):
            metric = METRICS[name.removesuffix("_bucket")]
            grouped = {tag for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for tag in by.split(", ")}
            asked = (
                grouped | set(re.findall(r"(\w+)=", tags)) | set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            )
            assert asked <= {"run", *metric.tags, *(("le",) if metric.kind == "histogram" else ())}, panel["title"]
            assert name.endswith("_bucket") == (metric.kind == "histogram"), panel["title"]
            assert "rate(" not in target["expr"] or metric.kind != "gauge", panel["title"]


def test_panels_do_not_overlap_and_stay_in_the_grid() -> None:
    panels = MODEL["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_a_share_is_hits_over_prompt_tokens() -> None:
    ((_, target),) = [pair for pair in TARGETS if pair[0]["title"] == "Prefix-cache hit share"]
    hit, seen = target["expr"].split(" / ")
    assert 'kind="hit"' in hit
    assert 'kind="seen"' in seen


def test_the_docs_explain_every_metric() -> None:
    explained = set(re.findall(r"^\| `(mics_\w+)`", (ROOT / "docs/watching.md").read_text(), re.M))
    assert explained == {metric.name for metric in ALL}


def test_grafana_can_import_it_and_ask_for_source_and_run() -> None:
    assert {one["name"] for one in MODEL["templating"]["list"]} == {"datasource", "run"}
    assert all(target["datasource"]["uid"] == "${datasource}" for _, target in TARGETS)
    assert MODEL["uid"] == "mics-ray"
