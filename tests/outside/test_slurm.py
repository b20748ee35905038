"""The generated sbatch file on a real SLURM: rows, one job however often it is submitted, requeue, stop, token."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import until
from tests.support.program import ROOT, rows
from tests.support.provider import Provider, write_cases

pytestmark = [pytest.mark.outside, pytest.mark.usefixtures("slurm")]
KEY = "sk-canary-of-the-queue"


OUTER = {
    "SLURM_JOB_ID": "1", "SLURM_EXPORT_ENV": "NONE", "SLURM_MEM_PER_CPU": "1", "SLURM_MEM_PER_NODE": "1",
    "SLURM_NTASKS": "7", "CUDA_VISIBLE_DEVICES": "5",
}  # fmt: skip
"""What a job, as an interactive one, tells the programs that are started in it."""
NETWORK = "10.77.0.0/24"


def submit(
    folder: Path, *words: str, action: str = "submit", outer: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable, str(ROOT / "scripts/submit.py"), action, *words, "--config-dir", "conf", "cluster=slurm",
        "cluster.dir=jobs", "cluster.nodes=2", "cluster.cpus_per_node=2", "cluster.object_store_bytes=100000000",
        "--", "mentors=test", "interns=test", "judge=test", "data.cases=cases.jsonl", "run.dir=run", "window=8",
    ]  # fmt: skip
    environment = {**os.environ, "TEST_KEY": KEY, **(outer or {})}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=400, check=False, cwd=folder
    )


def job_number(folder: Path) -> str:
    """The number of the job that is in the queue."""
    return slurm_says("squeue", "-h", "-o", "%i").split()[0]


def slurm_says(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def everything(folder: Path) -> str:
    """Every log and sbatch file, for what must not be in it and for a failing test's message."""
    return "\n".join(file.read_text(errors="replace") for file in sorted((folder / "jobs").glob("*")))


def test_a_job_over_two_nodes_ends_with_its_rows_and_is_not_run_again(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 6)
    with Provider(key=KEY) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY")
        done = submit(tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr + everything(tmp_path)
        assert "ended with exit code 0" in done.stdout
        calls = provider.calls()
        again = submit(tmp_path)
        assert (again.returncode, provider.calls()) == (0, calls)
    assert "done already" in again.stdout
    assert len(rows(tmp_path / "run")) == 6
    assert "ended, exit code 0" in submit(tmp_path, action="status").stdout
    assert KEY not in everything(tmp_path)
    assert "Observation" not in everything(tmp_path), "the text of a chain is in a log"
    assert {file.stat().st_mode & 0o077 for file in (tmp_path / "jobs").glob("*")} == {0}
    assert not list((tmp_path / "jobs").glob("*.token-*"))


def test_a_job_that_is_signalled_stops_cleanly_and_goes_on_from_the_queue(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 40)
    with Provider(key=KEY, latency_s=0.3) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY")
        assert submit(tmp_path, "--detach").returncode == 0
        number = job_number(tmp_path)
        assert f"already as job {number}" in submit(tmp_path, "--detach").stdout
        until(lambda: sum(provider.calls().values()) > 40, 400)
        slurm_says("scancel", "--batch", "--signal=USR1", number)
        until(lambda: "Restarts=1" in slurm_says("scontrol", "show", "job", number), 90, 0.5)
        assert "ended with exit code 75" in everything(tmp_path)
        first = len(rows(tmp_path / "run"))
        provider.latency_s = 0.0
        _do_not_wait(number)
        done = submit(tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr + everything(tmp_path)
        assert provider.repeated() == 0
    assert first < 40
    assert len(rows(tmp_path / "run")) == 40


def test_stop_ends_a_job_cleanly_and_it_does_not_come_back(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 40)
    with Provider(key=KEY, latency_s=0.3) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY", deadline_s=300)
        # A busy machine is slow to ask for the stop: nobody is answered until it has been asked for.
        provider.hold_when = lambda: list((tmp_path / "run/results").glob("part-*.parquet")) != []
        assert submit(tmp_path, "--detach").returncode == 0
        until(lambda: provider.held, 400)
        assert submit(tmp_path, action="stop").returncode == 0
        provider.release()
        until(lambda: not slurm_says("squeue", "-h").strip(), 90, 0.5)
    assert "ended, exit code 75" in submit(tmp_path, action="status").stdout
    assert 0 < len(rows(tmp_path / "run")) < 40


@pytest.fixture
def second_network() -> Iterator[str]:
    """An interface more, with an address of its own; its name."""
    name = f"mics{os.getpid() % 100000}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", "10.77.0.9/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def test_a_job_of_slices_in_a_network_is_submitted_from_within_another_job(tmp_path: Path, second_network: str) -> None:
    write_cases(tmp_path / "cases.jsonl", 4)
    words = (f"cluster.network={NETWORK}", "cluster.gpus_per_node=2", "cluster.gpu_type=h100_1g.12gb")
    with Provider(key=KEY) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY")
        done = submit(tmp_path, *words, outer=OUTER)
        assert done.returncode == 0, done.stdout + done.stderr + everything(tmp_path)
    assert len(rows(tmp_path / "run")) == 4
    (log,) = (tmp_path / "jobs").glob("*.ray.log")
    text = log.read_text()
    assert text.splitlines()[:2] == [f"10.77.0.9 {second_network}"] * 2
    # The head and two workers; the lines are coloured.
    assert ["10.77.0.9" in line for line in text.splitlines() if "Local node IP" in line] == [True] * 3, text


def test_a_network_that_no_node_has_ends_the_job_with_78(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 1)
    with Provider(key=KEY) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY")
        done = submit(tmp_path, "cluster.network=ib7")
        assert (done.returncode, provider.calls()) == (78, {})
    assert "refused: cluster.network: " in done.stdout
    assert " has no address in ib7; it has lo 127.0.0.1" in done.stdout


def test_a_type_of_gpus_that_no_node_has_is_slurm_s_to_refuse(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 1)
    with Provider(key=KEY) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY")
        done = submit(tmp_path, "cluster.gpus_per_node=1", "cluster.gpu_type=b200")
    assert done.returncode == 78
    assert "sbatch failed: " in done.stderr


def _do_not_wait(number: str) -> None:
    """SLURM holds a requeued job back for two minutes; not in a test."""
    for _ in range(100):
        done = subprocess.run(
            ["scontrol", "update", f"jobid={number}", "StartTime=now"], capture_output=True, check=False
        )
        if done.returncode == 0:
            return
        time.sleep(0.5)
