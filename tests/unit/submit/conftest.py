"""What several tests of submissions need: a dashboard of Ray, and a machine without the clouds' packages."""

import importlib.util
import threading
from collections.abc import Iterator

import pytest

from mics_ray.submit.vm import MODULES
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
