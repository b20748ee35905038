"""Reading metrics over HTTP: what is summed, where the token goes, what is refused."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.runtime.monitor.scrape import build_views, parse_samples, read_samples

PAGE = """# HELP ray_mics_cases_total Cases.
# TYPE ray_mics_cases_total counter
ray_mics_cases_total{run="r",outcome="solved",quality="keep",WorkerId="a"} 3.0
ray_mics_cases_total{run="r",outcome="solved",quality="keep",WorkerId="b"} 2.0
ray_mics_cases_total{run="other",outcome="failed",quality="zero",WorkerId="a"} 1.0
# TYPE ray_mics_calls_total counter
ray_mics_calls_total{run="r",model="gpt",result="ok"} 10.0
ray_mics_calls_total{run="r",model="gpt",result="cached"} 4.0
ray_mics_calls_total{run="r",model="gpt",result="timeout"} 1.0
# TYPE ray_mics_tokens_total counter
ray_mics_tokens_total{run="r",model="gpt",kind="prompt"} 100.0
ray_mics_tokens_total{run="r",model="gpt",kind="completion"} 7.0
# TYPE ray_mics_token_parts_total counter
ray_mics_token_parts_total{run="r",model="gpt",kind="cached"} 64.0
ray_mics_token_parts_total{run="r",model="gpt",kind="reasoning"} 5.0
# TYPE ray_mics_prefix_tokens_total counter
ray_mics_prefix_tokens_total{run="r",model="tiny",kind="seen"} 100.0
ray_mics_prefix_tokens_total{run="r",model="tiny",kind="hit"} 25.0
# TYPE ray_mics_open_searches gauge
ray_mics_open_searches{run="r",worker="0"} 8.0
ray_mics_open_searches{run="r",worker="1"} 7.0
# TYPE ray_mics_limiter_queue gauge
ray_mics_limiter_queue{run="r",model="gpt"} NaN
# TYPE ray_mics_commit_lag_seconds histogram
ray_mics_commit_lag_seconds_bucket{run="r",le="1.0"} 1.0
ray_mics_commit_lag_seconds_bucket{run="r",le="+Inf"} 2.0
ray_mics_commit_lag_seconds_sum{run="r"} 5.0
ray_mics_commit_lag_seconds_count{run="r"} 2.0
# TYPE ray_other_total counter
ray_other_total{run="r"} 9.0
"""


class Node(BaseHTTPRequestHandler):
    """A dashboard with a token at /api/prometheus/sd, and a metrics page; ``asked`` is what came."""

    token: str | None = None
    targets: object = None
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        key = self.headers.get("Authorization")
        self.asked.append((self.path, key))
        body, status = PAGE, 200
        if self.path == "/api/prometheus/sd":
            if self.token is not None and key != f"Bearer {self.token}":
                body, status = "", 401
            elif self.targets is not None:
                body = json.dumps([{"labels": {}, "targets": self.targets}])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Node], str]]:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    kind = type("OneNode", (Node,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kind, f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_samples_become_one_view_per_run_summed_over_processes() -> None:
    seen = build_views(parse_samples(PAGE))
    assert set(seen) == {"r", "other"}
    view, gpt = seen["r"], seen["r"].models["gpt"]
    assert view.outcomes == {"solved": 5}
    assert view.quality == {"keep": 5}
    assert (view.state, view.open, view.lag_s) == ("running", 15, 2.5)
    assert seen["other"].state == "no worker at work"
    assert (gpt.replies, gpt.cached, gpt.failures) == (14, 4, {"timeout": 1})
    assert (gpt.prompt_tokens, gpt.completion_tokens, gpt.queue) == (100, 7, None)
    assert view.models["tiny"].hit_share == 0.25
    assert gpt.hit_share == 0.64


def test_a_node_s_own_metrics_port_is_read_as_it_is(node: tuple[type[Node], str]) -> None:
    kind, address = node
    assert len(read_samples(address)) == len(list(parse_samples(PAGE)))
    assert [path for path, _ in kind.asked] == ["/api/prometheus/sd", "/metrics"]


def test_a_dashboard_leads_to_its_nodes_and_they_do_not_get_the_token(
    node: tuple[type[Node], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, address = node
    kind.token, kind.targets = "secret", [address, "127.0.0.1:9"]
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert build_views(read_samples(f"http://{address}/"))["r"].done == 5, "one node is gone, the other one counts"
    assert kind.asked == [("/api/prometheus/sd", "Bearer secret"), ("/metrics", None)]


def test_a_token_may_lie_in_the_file_that_ray_reads(
    node: tuple[type[Node], str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kind, address = node
    kind.token, kind.targets = "secret", [address]
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text("secret\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    assert read_samples(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", f"{file}.gone")
    with pytest.raises(RefusedRun, match="cannot read"):
        read_samples(address)


def test_a_wrong_token_is_one_clear_line_without_the_token(
    node: tuple[type[Node], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, address = node
    kind.token, kind.targets = "secret", [address]
    monkeypatch.setenv("RAY_AUTH_TOKEN", "canary-wrong")
    with pytest.raises(RefusedRun, match=r"answers 401; set RAY_AUTH_TOKEN") as refused:
        read_samples(address)
    assert "canary-wrong" not in str(refused.value)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:notaport", "ftp://127.0.0.1:1", "", ":::", "http://"])
def test_an_address_that_leads_nowhere_is_refused(address: str) -> None:
    with pytest.raises(RefusedRun, match="address") as refused:
        read_samples(address)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("targets", [[], ["127.0.0.1:9"]])
def test_a_dashboard_without_a_node_that_can_be_read_is_refused(
    node: tuple[type[Node], str], targets: list[str]
) -> None:
    kind, address = node
    kind.targets = targets
    with pytest.raises(RefusedRun, match="cannot be reached from here"):
        read_samples(address)
