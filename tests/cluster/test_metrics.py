"""A small run on real Ray and one real tiny engine, watched while it works: metrics, dashboard, screen, case log."""

import io
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from aiohttp import web
from rich.console import Console

from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.scrape import build_views, parse_samples
from mics_ray.runtime.monitor.watch_command import open_drawer
from tests.support.program import command, rows
from tests.support.provider import Provider, record

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

DASHBOARD = Path(__file__).resolve().parents[2] / "cluster/grafana/mics.json"
CASES = 10
PATIENCE_S = 900.0
ENDING = "### The final answer is:"
WORDS = ("open searches", "mentor_0", "tiny", "prefix hits", "no_answer", "USD", "commit lag")
CANARY = "canary-31c8"
"""Stands in every question, answer, complaint and reply of the run."""


class Troubled(Provider):
    """Its third mentor ends its first chain alone, and every fifth call fails once; what it writes quotes the case."""

    troubles = 0
    ended = False

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if len(self.log) % 5 == 4:
            self.troubles += 1
            self.log.append({"model": body["model"], "probe": True, "body": body})
            return web.json_response({"error": {"message": CANARY}}, status=503)
        answer = await super()._chat(request)
        assert isinstance(answer, web.Response)
        if answer.text and body["model"] == "mentor-2" and ENDING in answer.text:
            # A mentor of which every call is lost ends the run. The probe asks without a case.
            if not self.ended and CANARY in json.dumps(body["messages"]):
                self.ended = True
                return answer
            cut = re.sub(f"{ENDING}.*", CANARY, json.loads(answer.text)["choices"][0]["message"]["content"])
            choice = {"index": 0, "message": {"role": "assistant", "content": cut}, "finish_reason": "stop"}
            return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}})
        return answer


class Watched:
    """The run while and after it works: every metrics page that was read, and both screens of `watch.py`."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.pages: list[str] = []
        self.screens: dict[str, str] = {}
        self.output = self.errors = ""

    def watch(self, process: subprocess.Popen[str], provider: Provider) -> None:
        """Read the metrics until the run ends; ``provider`` answers again once both screens are full."""
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
            live = self.run / "live.json"
            if not live.exists():
                continue
            target = json.loads(live.read_text())["metrics"][0]
            port = target.rsplit(":", 1)[1]
            try:
                with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                    self.pages.append(page.read().decode())
            except OSError:
                continue
            if provider.held:
                for source in (f"run.dir={self.run}", f"address=127.0.0.1:{port}"):
                    self.screens[source.split("=")[0]] = screen(source)
                if all(word in text for text in self.screens.values() for word in WORDS):
                    provider.release()
        process.kill()  # no harm to one that has ended
        self.output, self.errors = process.communicate()


def named_cases(call: dict[str, Any]) -> set[str]:
    """The cases that a logged call asks about."""
    return set(re.findall(r"case-\d\d", json.dumps(call["body"])))


def screen(source: str) -> str:
    """What `scripts/watch.py` draws; in this process, since the run may be over before another one has started."""
    console = Console(width=160, file=io.StringIO(), record=True)
    drawn, _ = open_drawer(*source.split("="))()
    console.print(drawn)
    return console.export_text()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    lines = []
    for number in range(CASES):
        case = json.loads(record(f"case-{number:02}"))
        case["messages"][0]["content"] += f" {CANARY}"
        lines.append(json.dumps(case | {"presentation": CANARY, "caption": [CANARY]}))
    (folder / "cases.jsonl").write_text("\n".join(lines) + "\n")
    found = Watched(folder)
    with Troubled(latency_s=0.2) as provider:
        provider.write_groups(folder / "conf", deadline_s=PATIENCE_S)
        # With two searches open at a time, the first call of a fourth case finds two that are through.
        provider.hold_when = lambda: len({name for call in provider.log for name in named_cases(call)}) >= 4
        tiny = {"engine": "vllm", "model": "embedded:interns/internvl", "max_model_len": 2048, "max_tokens": 32}
        both = {"tiny": tiny, "intern_0": {"engine": "endpoint", "model": "intern-0", "base_url": provider.url}}
        (folder / "conf/interns/test.yaml").write_text(json.dumps(both))
        process = subprocess.Popen(
            command(
                "--config-dir", str(folder / "conf"), "mentors=test", "interns=test", "judge=test", "window=2",
                "mentors.mentor_0.price.input_per_mtok=2", f"data.cases={folder}/cases.jsonl", f"run.dir={found.run}",
            ),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "RAY_metrics_report_interval_ms": "1000", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        found.watch(process, provider)
    assert process.returncode == 0, found.errors
    assert provider.troubles, "nothing failed"
    return found


def test_every_metric_of_every_panel_is_in_a_live_scrape(watched: Watched) -> None:
    served = set(re.findall(rf"^({metrics.RAY_PREFIX}mics_\w+)", "\n".join(watched.pages), re.M))
    asked = {
        name
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
        for name in re.findall(rf"{metrics.RAY_PREFIX}mics_\w+", target["expr"])
    }
    assert asked
    assert asked - served == set()


def test_what_the_metrics_count_is_what_the_rows_say(watched: Watched) -> None:
    last = next(page for page in reversed(watched.pages) if metrics.CASES.exported in page)
    view = build_views(parse_samples(last))["run"]
    found = rows(watched.run)
    assert 0 < view.done <= CASES == len(found)
    assert view.models["mentor_0"].cost_usd > 0
    assert view.models["mentor_0"].replies > view.models["mentor_0"].cached
    assert view.models["tiny"].hit_share is not None
    assert 0 < view.models["tiny"].hit_share < 1
    assert view.models["mentor_2"].retries
    assert view.lost["no_answer"] > 0
    assert view.lag_s is not None
    assert 0 < view.lag_s < 60


def test_both_screens_show_the_run(watched: Watched) -> None:
    assert set(watched.screens) == {"run.dir", "address"}
    for text in watched.screens.values():
        for word in WORDS:
            assert word in text
    assert "run: running" in watched.screens["run.dir"]
    assert f"of {CASES} cases" in watched.screens["run.dir"]
    assert "run: finished" in screen(f"run.dir={watched.run}")


def test_the_case_log_has_a_line_for_each_case_and_counts_what_the_row_counts(watched: Watched) -> None:
    path = watched.run / "logs/cases.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    lines = {line["case"]: line for line in map(json.loads, path.read_text().splitlines())}
    found = {row["case_id"]: row for row in rows(watched.run)}
    assert set(lines) == set(found)
    for name, line in lines.items():
        row: Any = found[name]
        assert line["outcome"] == row["outcome"]
        assert line["calls"] == sum(used["calls"] for used in row["usage"])
        assert line["failures"]["no_answer"] >= 1


def test_no_text_of_a_case_is_in_logs_metrics_screens_or_messages(watched: Watched) -> None:
    assert any(CANARY in json.dumps(row) for row in rows(watched.run)), "the canary flew nowhere"
    logs = [path for path in (watched.run / "logs").rglob("*") if path.is_file()]
    assert {path.name for path in logs} >= {"cases.jsonl", "driver.log", "worker-0.log"}
    for path in [*logs, watched.run / "live.json", watched.run / "summary.json"]:
        assert CANARY.encode() not in path.read_bytes(), path
    assert CANARY not in watched.errors + "".join(watched.screens.values()) + "".join(watched.pages)
