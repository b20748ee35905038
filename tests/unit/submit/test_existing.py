"""A Ray that is there: where a token may go, where it comes from, which attempt of a job goes on."""

import socket
from pathlib import Path

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.submit.config import ExistingConfig
from mics_ray.submit.existing import Existing, parse_address, probe_address, read_token
from mics_ray.submit.job import SubmittedJob
from tests.support.ray_dashboard import Dashboard


@pytest.mark.parametrize("address", ["http://gpu-head:8265", "http://192.0.2.7:8265", "gpu-head:8265"])
def test_a_token_does_not_travel_in_clear(address: str) -> None:
    with pytest.raises(RefusedRun, match="use https, or a tunnel"):
        parse_address(address)


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "http://", "http://u:p@127.0.0.1:8265", "http://h:port"])
def test_what_is_no_dashboard_is_refused(address: str) -> None:
    with pytest.raises(RefusedRun, match="give the dashboard as"):
        parse_address(address)


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.delenv("T", raising=False)
    assert read_token("T", str(tmp_path / "token")) == "from-file"
    assert read_token("T", None) is None
    monkeypatch.setenv("T", "from-environment")
    assert read_token("T", str(tmp_path / "token")) == "from-environment"


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T", raising=False)
    with pytest.raises(RefusedRun, match=r"cluster\.token_file: cannot read"):
        read_token("T", str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:8265", "http://127.0.0.1:8265"),
        ("http://localhost:8265/jobs", "http://localhost:8265"),
        ("http://[::1]:8265", "http://[::1]:8265"),
        ("https://gpu-head", "https://gpu-head"),
        ("https://192.0.2.7:8443/", "https://192.0.2.7:8443"),
    ],
)
def test_loopback_and_https_are_taken_without_their_path(given: str, address: str) -> None:
    assert parse_address(given) == address


@pytest.mark.parametrize(("given", "port"), [("gpu-head", 8265), ("gpu-head:9000", 9000)])
def test_the_tunnel_that_is_proposed_leads_to_the_port_that_was_given(given: str, port: int) -> None:
    with pytest.raises(RefusedRun, match=rf"-L 8265:127\.0\.0\.1:{port} gpu-head\)"):
        parse_address(given)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("https://gpu-head", ("gpu-head", 443)),
        ("http://127.0.0.1", ("127.0.0.1", 80)),
        ("http://127.0.0.1:8265", ("127.0.0.1", 8265)),
    ],
)
def test_it_is_looked_where_the_address_says(
    monkeypatch: pytest.MonkeyPatch, address: str, place: tuple[str, int]
) -> None:
    tried = []

    def connect(where: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(where)
        assert timeout <= 10
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(RefusedRun, match=rf"nothing answers at {place[0]}:{place[1]} \(Connection refused\)"):
        probe_address(address)
    assert tried == [place]


def test_a_token_of_blanks_is_none_and_blanks_around_one_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("  from-file \n")
    monkeypatch.setenv("T", "  ")
    assert read_token("T", str(tmp_path / "token")) == "from-file"
    monkeypatch.setenv("T", " from-environment\n")
    assert read_token("T", None) == "from-environment"


JOB = SubmittedJob("generate", ("run.dir=r",), "mics-generate-1", "/shared/r", (), (), ())


def existing(dashboard: Dashboard, said: list[str]) -> Existing:
    address = f"http://127.0.0.1:{dashboard.server_port}"
    return Existing(ExistingConfig(address=address, volume="/shared"), said.append)


@pytest.mark.parametrize(
    ("there", "started", "words"),
    [
        ({}, ["mics-generate-1"], "mics-generate-1: submitted"),
        ({"mics-generate-1": "SUCCEEDED"}, [], "mics-generate-1: done already; its results are in /shared/r"),
        ({"mics-generate-1": "RUNNING"}, [], "mics-generate-1: running already"),
        ({"mics-generate-1": "STOPPED"}, ["mics-generate-1-2"], "mics-generate-1-2: submitted"),
        (
            {"mics-generate-1": "FAILED", "mics-generate-1-2": "STOPPED"},
            ["mics-generate-1-3"],
            "mics-generate-1-3: submitted",
        ),
        ({"mics-generate-1": "FAILED", "mics-generate-1-2": "PENDING"}, [], "mics-generate-1-2: pending already"),
        ({"mics-generate-2": "SUCCEEDED"}, ["mics-generate-1"], "mics-generate-1: submitted"),
    ],
)
def test_a_job_is_started_once_and_goes_on_under_the_next_number(
    dashboard: Dashboard, there: dict[str, str], started: list[str], words: str
) -> None:
    for name, status in there.items():
        dashboard.add_job(name, status)
    said: list[str] = []
    assert existing(dashboard, said).submit(JOB, detach=True) == 0
    assert [job["submission_id"] for job in dashboard.jobs] == started
    assert said == [words]


def test_status_and_stop_are_of_the_latest_attempt(dashboard: Dashboard) -> None:
    said: list[str] = []
    cluster = existing(dashboard, said)
    for ask in (cluster.show_status, cluster.stop):
        with pytest.raises(RefusedRun, match="mics-generate-1: not submitted to this cluster"):
            ask(JOB)
    dashboard.add_job("mics-generate-1", "STOPPED")
    cluster.stop(JOB)
    assert dashboard.stopped == []
    dashboard.add_job("mics-generate-1-2", "RUNNING")
    cluster.show_status(JOB)
    cluster.stop(JOB)
    assert dashboard.stopped == ["mics-generate-1-2"]
    assert said == [
        "mics-generate-1: ended already",
        "mics-generate-1-2: running; output /shared/r",
        "mics-generate-1-2: asked to stop; the same command goes on",
    ]
