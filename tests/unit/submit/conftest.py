"""What several tests of submissions need: a dashboard of Ray, and a machine without the clouds' packages."""

import importlib.util
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mics_ray.submit.vm import MODULES
from tests.support.kubectl import write_kubectl
from tests.support.ray_dashboard import Dashboard


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    with Dashboard() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def no_cloud_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the package of no cloud is installed."""
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in MODULES.values() else real(name))


@pytest.fixture
def kube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in for kubectl; see ``tests/support/kubectl.py``."""
    folder = tmp_path / "kube"
    write_kubectl(folder)
    monkeypatch.setenv("KUBE", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("mics_ray.submit.kuberay.cluster.POLL_S", 0.01)
    return folder
