"""A job submitted to a Ray cluster with token authentication: started once, followed, stopped, refused."""

import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support.processes import descendants, kill, until
from tests.support.program import ROOT, rows
from tests.support.provider import Provider, write_cases

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@dataclass
class Head:
    """A Ray head of this test's own."""

    address: str
    token: str


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at the moment, and that the kernel gives to nobody: Ray takes many of those."""
    found: list[int] = []
    for port in random.Random(os.getpid()).sample(range(20000, 32000), 100):
        with socket.socket() as probe:
            if len(found) < count and probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
    return found


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder = Path("/tmp") / f"mh{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    token = secrets.token_hex(16)
    (folder / "token").write_text(token)
    gcs, dashboard, client, agent = free_ports(4)
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", f"--port={gcs}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}", "--num-cpus=4",
        "--num-gpus=0", "--object-store-memory=200000000", f"--temp-dir={folder}/ray",
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ, "PATH": path, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "TEST_KEY": "sk-canary-of-the-cluster",
    }  # fmt: skip
    process = started(command, environment, folder / "head.log")
    try:
        yield Head(f"http://127.0.0.1:{dashboard}", token)
    finally:
        family = [process.pid, *descendants(process.pid)]
        process.terminate()
        process.wait(40)
        for pid in family:
            if Path(f"/proc/{pid}").exists():
                kill(pid)
        shutil.rmtree(folder, ignore_errors=True)


def started(command: list[str], environment: dict[str, str], file: Path) -> "subprocess.Popen[bytes]":
    """A head that is up; Ray gives its raylet 30 s, which a loaded machine may exceed, so there are three attempts."""
    for _ in range(3):
        with file.open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd="/")
        until(partial(_up_or_over, process, file), 120, 0.2)
        if process.poll() is None:
            return process
    raise AssertionError(file.read_text()[-1000:])


def _up_or_over(process: "subprocess.Popen[bytes]", file: Path) -> bool:
    return process.poll() is not None or "Ray runtime started" in file.read_text()


def submit(
    head: Head, folder: Path, *words: str, action: str = "submit", token: str | None = None, volume: str = ""
) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable, str(ROOT / "scripts/submit.py"), action, "--config-dir", str(folder / "conf"),
        "cluster=existing", f"cluster.address={head.address}", f"cluster.volume={volume or folder}",
    ]  # fmt: skip
    before, after = [word for word in words if word.startswith("-")], [word for word in words if word[:1] != "-"]
    job = ["mentors=test", "interns=test", "judge=test", "data.cases=cases.jsonl", "run.dir=run", "window=8", *after]
    return subprocess.run(
        [*command, *before, "--", *job],
        env={**os.environ, "RAY_AUTH_TOKEN": head.token if token is None else token},
        capture_output=True, text=True, timeout=240, check=False, cwd="/",
    )  # fmt: skip


def test_a_job_runs_once_and_its_rows_lie_on_the_volume(head: Head, tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 6)
    with Provider(key="sk-canary-of-the-cluster") as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY")
        done = submit(head, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ended with exit code 0" in done.stdout
        assert len(rows(tmp_path / "run")) == 6
        calls = provider.calls()
        again = submit(head, tmp_path)
        assert again.returncode == 0
        assert "done already" in again.stdout
        assert provider.calls() == calls
    standing = submit(head, tmp_path, action="status")
    assert standing.returncode == 0
    assert "succeeded, exit code 0" in standing.stdout


def test_a_detached_job_is_found_again_stopped_cleanly_and_goes_on(head: Head, tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 40)
    with Provider(key="sk-canary-of-the-cluster", latency_s=0.3) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_KEY", deadline_s=300)
        # A busy machine is slow to ask for the stop: nobody is answered until it has been asked for.
        provider.hold_when = lambda: sum(provider.calls().values()) > 40
        left = submit(head, tmp_path, "--detach")
        assert left.returncode == 0, left.stderr
        assert "submitted" in left.stdout
        repeated = submit(head, tmp_path, "--detach")
        assert "already" in repeated.stdout
        until(lambda: provider.held, 240)
        assert submit(head, tmp_path, action="stop").returncode == 0
        provider.release()
        until(lambda: "stopped" in submit(head, tmp_path, action="status").stdout, 60, 1)
        provider.latency_s = 0.0
        done = submit(head, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(rows(tmp_path / "run")) == 40
        assert provider.repeated() == 0


def test_a_missing_volume_or_key_is_one_line_of_the_job_and_exit_78(head: Head, tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 2)
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf", key_env="NOT_ON_THE_CLUSTER")
        keyless = submit(head, tmp_path)
        assert keyless.returncode == 78, keyless.stdout
        assert "NOT_ON_THE_CLUSTER is not set" in keyless.stdout
        gone = submit(head, tmp_path, volume="/no/such/volume")
    assert gone.returncode == 78, gone.stdout
    assert "cluster.volume: no folder to write to on the head node: /no/such/volume" in gone.stdout


@pytest.mark.parametrize(("token", "said"), [("wrong", "does not take this token"), ("", "wants a token")])
def test_a_wrong_or_missing_token_is_one_line_and_exit_78(head: Head, tmp_path: Path, token: str, said: str) -> None:
    write_cases(tmp_path / "cases.jsonl", 1)
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf")
        refused = submit(head, tmp_path, token=token)
    assert refused.returncode == 78
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_an_address_where_nobody_is_is_one_line_and_exit_78(tmp_path: Path) -> None:
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf")
        refused = submit(Head(f"http://127.0.0.1:{free_ports(1)[0]}", "t"), tmp_path)
    assert refused.returncode == 78
    assert "cluster.address: nothing answers" in refused.stderr
