"""A proxy of the environment never sees what is on loopback or a cluster's: a recording proxy, and the real clients."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.proxies import is_loopback, reach_directly, shows_secrets
from mics_ray.runtime.monitor.scrape import read_samples
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.kuberay.cluster import _exec_on_head
from tests.support.program import ROOT
from tests.support.ray_dashboard import Dashboard

TOKEN = "canary-of-the-cluster"
NAMES = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "grpc_proxy"]


class Recorder(ThreadingHTTPServer):
    """A proxy that answers nothing well and keeps whatever reaches it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), Taken)


class Taken(BaseHTTPRequestHandler):
    server: Recorder

    def parse_request(self) -> bool:
        self.server.seen.append(str(vars(self)["raw_requestline"]))
        parsed = super().parse_request()
        self.server.seen.append(str(self.headers))
        self.send_error(502)
        return parsed and False

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def proxy() -> Iterator[Recorder]:
    with Recorder() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def environment(proxy: Recorder, names: list[str]) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name.lower() not in ("no_proxy", *NAMES)}
    return given | dict.fromkeys(names, f"http://127.0.0.1:{proxy.server_port}")


@pytest.mark.heavy
def test_a_submission_sends_no_proxy_the_token(proxy: Recorder, dashboard: Dashboard, tmp_path: Path) -> None:
    """The whole program with Ray's own client: its package, its job and its list of jobs arrive, all of them direct."""
    command = [sys.executable, str(ROOT / "scripts/submit.py"), "--detach", "cluster=existing",
               f"cluster.address=http://localhost:{dashboard.server_port}", f"cluster.volume={tmp_path}"]  # fmt: skip
    given = environment(proxy, NAMES) | {"RAY_AUTH_TOKEN": TOKEN, "NO_PROXY": "example.org"}
    done = subprocess.run([*command, "--", "experiment=demo"], env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, len(dashboard.jobs), proxy.seen) == (0, 1, []), done.stderr[-2000:]


@pytest.mark.parametrize("name", NAMES[:6])
def test_metrics_are_read_past_every_proxy(
    proxy: Recorder, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    read_samples(f"127.0.0.1:{dashboard.server_port}")
    assert proxy.seen == []


def test_a_token_is_not_shown_to_the_way_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not loopback by itself, though it leads there: the token stays, and one line says what helps."""
    real, sent = socket.getaddrinfo, list[str]()

    class Asking(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(str(self.headers))
            self.send_error(401)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Asking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: real("127.0.0.1", *more, **named))
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
        with pytest.raises(RefusedRun, match="a token does not travel over plain http: use https, or a tunnel"):
            read_samples(f"head.test:{server.server_port}")
        server.shutdown()
    assert sent
    assert TOKEN not in "".join(sent)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "localhost,127.0.0.1,::1,head"),
        ({"no_proxy": "a", "NO_PROXY": "b,127.0.0.1"}, "a,b,127.0.0.1,localhost,::1,head"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_what_was_told_stays(monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: str) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, before.get(name, ""))
    reach_directly("head")
    reach_directly("head")
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == after


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:1", False),
        ("http://[::1]:1", False),
        ("http://localhost", False),
        ("https://head", False),
        ("http://head", True),
        ("http://127.0.0.1.example.org", True),
        ("http://192.0.2.1", True),
        ("ws://head", True),
    ],
)
def test_who_could_read_a_token(url: str, shown: bool) -> None:
    assert shows_secrets(url) is shown


def test_all_of_loopback_is_loopback() -> None:
    assert [is_loopback(host) for host in ("127.8.9.1", "128.0.0.1", "")] == [True, False, False]


def test_in_a_pod_the_head_is_asked_past_its_proxy() -> None:
    words = _exec_on_head("pod", "logs", SubmittedJob("generate", (), "id", "/r", (), (), ()))
    assert words[words.index("--") + 1 :][:4] == ["env", "no_proxy=*", "NO_PROXY=*", "ray"]


def test_the_slurm_job_keeps_loopback_from_proxies(proxy: Recorder) -> None:
    """The file's own lines, run by bash."""
    text = (ROOT / "cluster/slurm/job.sbatch.j2").read_text().splitlines()
    lines = [line for line in text if "no_proxy" in line]
    for told, expected in (("", "localhost,127.0.0.1,::1"), ("a", "a,localhost,127.0.0.1,::1"), ("*", "*")):
        script = "\n".join(["set -uo pipefail", *lines, 'echo "$no_proxy $NO_PROXY"'])
        given = environment(proxy, []) | {"NO_PROXY": told}
        done = subprocess.run(["bash", "-c", script], env=given, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected, expected]
