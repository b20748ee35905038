"""Python and Ray of who submits and of the cluster must be the same: one line where they are not, nothing run."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import yaml
from ray._private.utils import check_version_info

from mics_ray.config.schema import RayConfig
from mics_ray.errors import EXIT_REFUSED, RefusedRun
from mics_ray.runtime.driver import cluster as module
from mics_ray.runtime.driver.cluster import join_cluster
from mics_ray.submit.config import ExistingConfig, KuberayConfig
from mics_ray.submit.existing import Existing
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.kuberay.manifest import build_manifests
from mics_ray.submit.versions import VARIABLE, describe_versions
from tests.support.ray_dashboard import Dashboard

ROOT = Path(__file__).resolve().parents[3]
JOB = SubmittedJob("generate", ("run.dir=r",), "mics-generate-1", "/shared/r", (), (), ())


def enter(volume: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What a cluster runs, on this machine; the program itself is asked for its help."""
    command = [sys.executable, "-m", "mics_ray.submit.entry", str(volume), "generate", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.heavy
def test_a_job_on_other_versions_ends_with_one_line_and_one_on_the_same_runs(tmp_path: Path) -> None:
    refused = enter(tmp_path, **{VARIABLE: "Python 3.9, Ray 2.9.3"})
    assert (refused.returncode, refused.stdout) == (EXIT_REFUSED, "")
    assert refused.stderr == (
        f"refused: the cluster has {describe_versions()}, the job was submitted with Python 3.9, Ray 2.9.3; "
        "use the same on both\n"
    )
    # A missing volume is not looked for first: versions may be why.
    assert "cluster has" in enter(tmp_path / "gone", **{VARIABLE: "Python 3.9, Ray 2.9.3"}).stderr
    assert enter(tmp_path, **{VARIABLE: describe_versions()}).returncode == 0
    assert "cluster.volume" in enter(tmp_path / "gone").stderr


def test_versions_are_compared_before_anything_that_an_old_python_cannot_read() -> None:
    listed = "import sys, mics_ray.submit.entry; print(*(m for m in sys.modules if m.partition('.')[0] == 'mics_ray'))"
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True, cwd=ROOT)
    modules = set(done.stdout.split())
    assert modules == {
        "mics_ray", "mics_ray.errors", "mics_ray.submit", "mics_ray.submit.entry", "mics_ray.submit.versions",
    }  # fmt: skip
    for name in modules:
        path = ROOT / name.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        ast.parse(file.read_text(), feature_version=(3, 9))


def test_a_cluster_with_another_ray_is_refused_before_anything_is_sent(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mics_ray.submit.existing.read_ray_version", lambda: "2.9.3")
    address = f"http://127.0.0.1:{dashboard.server_port}"
    cluster = Existing(ExistingConfig(address=address, volume="/shared"), print)
    with pytest.raises(
        RefusedRun, match=r"^the cluster has Ray 2\.60\.0, this machine Ray 2\.9\.3; use the same on both$"
    ):
        cluster.submit(JOB, detach=True)
    assert (dashboard.jobs, dashboard.packages) == ([], [])
    dashboard.add_job("mics-generate-1", "RUNNING")
    assert cluster.submit(JOB, detach=True) == 0, "what is there is still followed"


def test_both_kinds_of_ray_jobs_are_told_what_they_were_submitted_with(dashboard: Dashboard) -> None:
    address = f"http://127.0.0.1:{dashboard.server_port}"
    Existing(ExistingConfig(address=address, volume="/shared"), print).submit(JOB, detach=True)
    (sent,) = dashboard.jobs
    (made,) = build_manifests(KuberayConfig(image="m", volume_claim="c"), JOB)
    for variables in (sent["runtime_env"]["env_vars"], yaml.safe_load(made["spec"]["runtimeEnvYAML"])["env_vars"]):
        assert variables[VARIABLE] == describe_versions()
        assert variables["RAY_JOB_STOP_WAIT_TIME_S"] == "60"
    major, minor = sys.version_info[:2]
    assert describe_versions() == f"Python {major}.{minor}, Ray {ray.__version__}"


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        ({"ray_version": "2.9.3", "python_version": "3.11.2"}, r"Ray: 2\.9\.3, Python: 3\.11\.2"),
        ({"ray_version": ray.__version__, "python_version": "3.9.18"}, rf"Ray: {ray.__version__}, Python: 3\.9\.18"),
    ],
)
def test_a_ray_that_is_joined_with_other_versions_is_one_line(
    theirs: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: check_version_info(theirs, "node 10.0.0.1"))
    monkeypatch.setattr(module, "refuse_unreachable", lambda address: None)
    ours = rf"Ray: {ray.__version__}, Python: [\d.]+; use the same on both"
    said = rf"^ray\.address: head:6379 has {told}, this machine {ours}$"
    with pytest.raises(RefusedRun, match=said), join_cluster(RayConfig("head:6379")):
        pass


def test_another_error_of_ray_s_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: object, **__: object) -> None:
        raise RuntimeError("Maybe you called ray.init twice by accident?")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(module, "refuse_unreachable", lambda address: None)
    with pytest.raises(RuntimeError, match="twice"), join_cluster(RayConfig("head:6379")):
        pass
