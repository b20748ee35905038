"""The committed dashboard is the generated one, and shows every metric; the docs name every metric."""

import json
import re
from pathlib import Path

from mics_ray.runtime.monitor import dashboard, metrics

ROOT = Path(__file__).resolve().parents[4]


def test_the_committed_dashboard_is_up_to_date(tmp_path: Path) -> None:
    dashboard.main(["--out", str(tmp_path / "new/mics.json")])
    made = (tmp_path / "new/mics.json").read_text()
    again = "run: python -m mics_ray.runtime.monitor.dashboard --out cluster/grafana/mics.json"
    assert (ROOT / "cluster/grafana/mics.json").read_text() == made, again


def test_every_metric_has_a_panel_and_every_panel_asks_for_one() -> None:
    asked = set()
    for panel in dashboard.dashboard()["panels"]:
        for target in panel["targets"]:
            names = re.findall(r"ray_mics_\w+", target["expr"])
            assert names, panel["title"]
            assert target["expr"].count('run=~"$run"') == len(names)
            asked |= {name.removesuffix("_bucket") for name in names}
    assert asked == {metric.exported for metric in metrics.ALL}


def test_panels_do_not_overlap_and_stay_in_the_grid() -> None:
    panels = dashboard.dashboard()["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_a_share_is_hits_over_prompt_tokens() -> None:
    ((_, expression),) = dashboard.hit_share()
    hit, seen = expression.split(" / ")
    assert 'kind="hit"' in hit
    assert 'kind="seen"' in seen


def test_the_docs_explain_every_metric() -> None:
    explained = set(re.findall(r"^\| `(mics_\w+)`", (ROOT / "docs/watching.md").read_text(), re.M))
    assert explained == {metric.name for metric in metrics.ALL}


def test_the_file_is_json_as_grafana_imports_it() -> None:
    model = json.loads(dashboard.text())
    assert {one["name"] for one in model["templating"]["list"]} == {"datasource", "run"}
    assert model["uid"] == "mics-ray"
