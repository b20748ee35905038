"""`mics submit … --dry-run`: what is printed is what a submission hands over, and nothing else happens."""

import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mics_ray.errors import EXIT_OK, EXIT_REFUSED, EXIT_USAGE
from mics_ray.submit.command import main
from tests.support.ray_dashboard import Dashboard

pytestmark = pytest.mark.heavy  # whole submissions

CANARY = "sk-canary-0123456789abcdef"
KEYS = ("DASHSCOPE_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")
TOOLS = ("sbatch", "squeue", "scancel", "kubectl", "ray", "git")
JOB = ("--", "mentors=paper", "interns=paper", "judge=deepseek", "data.cases=cases.jsonl", "run.dir=runs/first")

Words = tuple[str, ...]
Shown = pytest.CaptureFixture[bytes]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with keys and group files; every program of a cluster on the path leaves a mark."""
    for folder in ("bin", "keys", "mine/judge", "here"):
        (tmp_path / folder).mkdir(parents=True)
    for tool in TOOLS:
        (tmp_path / "bin" / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >> {tmp_path}/called\n')
        (tmp_path / "bin" / tool).chmod(0o755)
    for name in KEYS:
        (tmp_path / "keys" / name).write_text(CANARY)
        monkeypatch.setenv(name, CANARY)
    (tmp_path / "token").write_text(CANARY)
    (tmp_path / "mine/judge/own.yaml").write_text("{model: m, base_url: 'https://m.example/v1'}  # für uns\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def cluster(kind: str, place: Path, *more: str) -> Words:
    """The words before ``--`` for a cluster of this kind."""
    settings = {
        "slurm": (f"cluster.dir={place}/jobs",),
        "kuberay": (
            "cluster.image=mics:gpu", "cluster.volume_claim=c", "cluster.secret=s", f"cluster.dir={place}/jobs",
        ),
        "vm": (
            "cluster.provider=aws", "cluster.region=us-west-2", "cluster.zone=us-west-2a", "cluster.image=mics:gpu",
            "cluster.volume=/shared", f"cluster.secrets_dir={place}/keys", f"cluster.dir={place}/jobs",
        ),
        "existing": (
            "cluster.address=127.0.0.1:9", "cluster.volume=/shared", f"cluster.secrets_dir={place}/keys",
            f"cluster.token_file={place}/token",
        ),
    }  # fmt: skip
    return ("--config-dir", str(place / "mine"), f"cluster={kind}", *settings[kind], *more)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path beneath ``folder`` with its mode and content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def refuse_all(*_: Any, **__: Any) -> Any:
    raise AssertionError("a dry run touches nothing outside this process")


def preview(words: Words, shown: Shown, place: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What a dry run prints; it fails where anything was written, run or sent."""
    before, mask = tree(place), os.umask(0o022)
    with monkeypatch.context() as trapped:
        trapped.setattr(socket, "socket", refuse_all)
        trapped.setattr(subprocess, "Popen", refuse_all)
        assert main(["--dry-run", *words, *JOB]) == EXIT_OK
    assert os.umask(mask) == 0o022
    assert tree(place) == before
    out, err = shown.readouterr()
    assert CANARY.encode() not in out + err
    assert err.count(b"\n") >= 1
    return out


@pytest.mark.parametrize("kind", ["slurm", "kuberay", "vm"])
def test_a_ray_that_is_started_tells_nobody(kind: str, place: Path, capsysbinary: Shown) -> None:
    assert main(["--dry-run", *cluster(kind, place), *JOB]) == EXIT_OK
    text = capsysbinary.readouterr().out.decode()
    assert re.search(r"RAY_USAGE_STATS_ENABLED(=|\W+value: ['\"]?)0", text)
    assert re.search(r"RAY_USAGE_STATS_REPORT_URL(=|\W+value: )http://127\.0\.0\.1:9\b", text)


def test_the_sbatch_file_is_the_one_that_is_submitted(
    place: Path, capsysbinary: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = preview(cluster("slurm", place), capsysbinary, place, monkeypatch)
    (place / "bin/sbatch").write_text("#!/bin/sh\necho 41\n")
    assert main(["--detach", *cluster("slurm", place), *JOB]) == EXIT_OK
    (file,) = (place / "jobs").glob("*.sbatch")
    assert printed == file.read_bytes()
    assert printed.startswith(b"#!/bin/bash\n")


def test_the_manifests_are_those_that_are_applied(
    place: Path, capsysbinary: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = preview(cluster("kuberay", place), capsysbinary, place, monkeypatch)
    monkeypatch.setenv("PATH", str(place / "keys"))  # without kubectl the file is written, and that is all
    assert main(["--detach", *cluster("kuberay", place), *JOB]) == EXIT_OK
    (file,) = (place / "jobs").iterdir()
    assert printed == file.read_bytes()
    assert [made["kind"] for made in yaml.safe_load_all(printed)] == ["ConfigMap", "RayJob"]


@pytest.mark.usefixtures("no_cloud_package")
def test_the_launchers_file_is_the_one_that_ray_gets_and_its_commands_are_told(
    place: Path, capsysbinary: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = cluster("vm", place)
    assert main(["--dry-run", *words, *JOB]) == EXIT_OK
    commands = [line for line in capsysbinary.readouterr().err.splitlines() if line.startswith(b"  ray ")]
    printed = preview(words, capsysbinary, place, monkeypatch)
    # Without the cloud's package a submission writes its files and says the commands.
    assert main([*words, *JOB]) == EXIT_OK
    (file,) = (place / "jobs").glob("*.yaml")
    assert printed == file.read_bytes()
    told = [line for line in capsysbinary.readouterr().out.splitlines() if line.startswith(b"  ray ")]
    assert commands == told
    assert len(commands) == 4, "up, keys, group files, the job"


def test_entrypoint_environment_and_package_are_those_that_ray_is_sent(
    place: Path, dashboard: Dashboard, capsysbinary: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = cluster("existing", place, f"cluster.address=http://127.0.0.1:{dashboard.server_port}")
    printed = yaml.safe_load(preview(words, capsysbinary, place, monkeypatch))
    assert not dashboard.jobs
    assert main(["--detach", *words, *JOB]) == EXIT_OK
    (sent,) = dashboard.jobs
    assert (printed["submission_id"], printed["entrypoint"]) == (sent["submission_id"], sent["entrypoint"])
    assert printed["runtime_env"]["env_vars"] == sent["runtime_env"]["env_vars"]
    assert len(dashboard.packages) == 1
    assert "submitted_conf/judge/own.yaml" in printed["package"]
    assert "scripts/generate.py" in printed["package"]


def test_the_package_that_is_listed_is_the_one_that_is_packed(
    place: Path, capsysbinary: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zipfile import ZipFile

    from mics_ray.submit.job import describe_job
    from mics_ray.submit.package import pack_job

    printed = yaml.safe_load(preview(cluster("existing", place), capsysbinary, place, monkeypatch))
    packed = pack_job(describe_job(JOB[1:], place / "mine", "/shared"), place)
    assert printed["package"] == ZipFile(packed).namelist()
    assert printed["runtime_env"]["working_dir"] == packed.name


def without_key(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    (place / "keys/DEEPSEEK_API_KEY").unlink()


def with_key_in_a_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "mine/judge/own.yaml").write_text(f"{{model: {CANARY}}}")


def with_a_file_for_a_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "jobs").touch()


def as_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None: ...


@pytest.mark.parametrize(
    ("kind", "wrong", "more"),
    [
        ("slurm", without_key, ()),
        ("slurm", with_a_file_for_a_folder, ()),
        ("slurm", as_it_is, ("cluster.gpus_per_node=1",)),
        ("slurm", as_it_is, ("cluster.dir=/no/such/folder",)),
        ("kuberay", with_key_in_a_file, ()),
        ("kuberay", with_a_file_for_a_folder, ()),
        ("kuberay", as_it_is, ("cluster.secret=null",)),
        ("vm", without_key, ()),
        ("vm", with_key_in_a_file, ()),
        ("vm", with_a_file_for_a_folder, ()),
        ("existing", with_key_in_a_file, ("cluster.address=127.0.0.1:{port}",)),
        ("existing", as_it_is, ("cluster.address=http://gpu-head:8265",)),
        ("existing", as_it_is, ("cluster.address=127.0.0.1:{port}", "cluster.token_file=/no/such/token")),
    ],
)
def test_what_a_submission_refuses_a_dry_run_refuses_in_the_same_words(
    place: Path,
    dashboard: Dashboard,
    capsysbinary: Shown,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    wrong: Callable[[Path, pytest.MonkeyPatch], None],
    more: Words,
) -> None:
    wrong(place, monkeypatch)
    words = cluster(kind, place, *(word.format(port=dashboard.server_port) for word in more))
    before = tree(place)
    assert main(["--dry-run", *words, *JOB]) == EXIT_REFUSED
    assert tree(place) == before
    out, err = capsysbinary.readouterr()
    assert out == b""
    assert err.startswith(b"refused: ")
    assert CANARY.encode() not in err
    assert main(["--detach", *words, *JOB]) == EXIT_REFUSED
    assert capsysbinary.readouterr().err == err


def test_a_job_that_is_done_is_told_of(place: Path, capsysbinary: Shown) -> None:
    (place / "jobs").mkdir()
    assert main(["--dry-run", *cluster("slurm", place), *JOB]) == EXIT_OK
    name = capsysbinary.readouterr().out.split(b"--job-name=")[1].split(b"\n")[0].decode()
    (place / f"jobs/{name}.exit").write_text("0")
    assert main(["--dry-run", *cluster("slurm", place), *JOB]) == EXIT_OK
    assert b"done already; nothing would be submitted" in capsysbinary.readouterr().err


@pytest.mark.parametrize("action", ["status", "stop"])
def test_only_a_submission_can_be_shown_beforehand(place: Path, action: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([action, "--dry-run", *cluster("slurm", place), *JOB])
    assert ended.value.code == EXIT_USAGE
