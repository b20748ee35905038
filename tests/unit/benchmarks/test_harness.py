"""The harness of the benchmarks: what is counted, what is believed, and that one failure holds up nothing else."""

import json
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from benchmarks.harness.figures import Figure, Goal, read_figure
from benchmarks.harness.processes import ProcessWatch, Sample, Track
from benchmarks.harness.provider import serve_provider
from benchmarks.harness.results import format_value, tell_figure
from benchmarks.harness.suite import run_suite
from tests.support.processes import alive, until


def test_cpu_between_two_looks_is_by_proportion() -> None:
    track = Track("driver", [Sample(10.0, 1.0, 0, 0, 0), Sample(12.0, 2.0, 0, 0, 0)])
    assert [track.cpu_at(at) for at in (9.0, 10.0, 11.0, 12.0, 13.0)] == [0.0, 1.0, 1.5, 2.0, 2.0]


@pytest.mark.parametrize(
    ("load", "others", "valid"), [(1.9, 1.5, True), (2.1, 0.2, True), (2.1, 0.4, False), (9.0, None, False)]
)
def test_a_figure_of_a_busy_machine_is_invalid_unless_the_load_was_its_own(
    load: float, others: float | None, valid: bool
) -> None:
    one = Figure("B1", "x", "", (1.0,), load=(1.0, load), others=() if others is None else (others,))
    assert one.valid == valid
    assert ("invalid" in " ".join(tell_figure(one))) != valid


def test_a_figure_comes_back_from_its_json() -> None:
    one = Figure("B3", "x", "ms", (1.0, 5.0, 2.0), Goal("<=", 2), "said", (0.1,), (0.5,))
    stored = json.loads(json.dumps(one.as_json()))
    assert read_figure(stored) == one
    assert (stored["median"], stored["met"], stored["valid"]) == (2.0, True, True)


def test_a_peer_that_could_not_run_is_a_line_that_says_so() -> None:
    one = Figure("B11", "calls a second: x", "calls/s", (), Goal(">=", 1), "could not run: no network")
    assert tell_figure(one)[2:6] == ("-", "could not run: no network", "", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1234.5, "1,234"), (100.4, "100"), (99.96, "100"), (1.0449, "1.04"), (0.0123, "0.0123")],
)
def test_three_digits_count(value: float, shown: str) -> None:
    assert format_value(value) == shown


@pytest.mark.heavy
def test_all_processes_below_are_counted_those_that_ended_too() -> None:
    burn = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    first = time.monotonic()
    with (
        subprocess.Popen([sys.executable, "-c", below]) as process,
        ProcessWatch({process.pid: "driver"}, 0.02) as watch,
    ):
        process.wait()
    used = watch.cpu_by_role(first, time.monotonic())
    assert set(used) == {"driver"}
    assert 0.4 <= used["driver"] <= 1.5
    assert len(watch.pids()) == 2


def test_what_the_machine_did_before_the_first_look_is_nobodys() -> None:
    watch = ProcessWatch({})
    watch.busy = [(10.0, 5000.0), (20.0, 5004.0)]
    assert watch.others_cores(9.0, 20.0) == pytest.approx(0.4)


@pytest.mark.heavy
def test_the_provider_keeps_its_quotas_and_tells_what_it_saw() -> None:
    def ask(port: int, text: str, model: str = "judge-0") -> int:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "seed": 1, "temperature": 0}
        try:
            with urlopen(Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode())) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    with serve_provider(quotas={"judge-0": 2}, latency_s={"judge": 0.0, "chat": 0.0}) as provider:
        codes = [ask(provider.port, text) for text in ("Reply with the one word: ready.", "a", "a")]
        provider.change_quotas({"judge-0": 3})
        codes += [ask(provider.port, "a"), ask(provider.port, "What does case 7 show?", "chat-0")]
        stats = provider.read_stats(times=True)
    assert codes == [200, 200, 429, 200, 200]
    assert stats["calls"] == {"judge-0": 2, "chat-0": 1}
    assert (stats["refused"], stats["repeated"], stats["most_open"]) == ({"judge-0": 1}, 1, 1)
    assert stats["first"] == stats["times"]["judge-0"][0] < stats["last"]
    assert stats["cases"] == {"case 7": [stats["times"]["chat-0"][0], stats["last"]]}


@pytest.mark.heavy
def test_a_benchmark_that_fails_keeps_its_figures_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    entries = dict(run_suite(["tests.support.failing_benchmark"], True, tmp_path / "results.json"))
    found = entries["tests.support.failing_benchmark"]
    assert found["error"] == "exit code 1: RuntimeError: the provider ate it"
    assert [one["median"] for one in found["figures"]] == [2.0]
    page = (tmp_path / "RESULTS.md").read_text()
    assert "**FAILED**: exit code 1: RuntimeError: the provider ate it" in page
    assert "| B0 | before it failed | 2 s | 1, 3, 2 | <= 2.5 | yes |" in page
    until(lambda: not alive(int((tmp_path / "child").read_text())), timeout_s=10)
