"""A Ray that cannot be started or joined is one line, not a traceback."""

from typing import Any

import pytest
import ray

from mics_ray.config.schema import RayConfig
from mics_ray.errors import RefusedRun
from mics_ray.runtime.driver import cluster as module
from mics_ray.runtime.driver.cluster import join_cluster


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (None, Exception("The current node timed out during startup."), "Ray does not start on this machine"),
        ("head:6379", ConnectionError("no"), r"ray\.address: cannot join head:6379 \(ConnectionError\)"),
        ("head:6379", ValueError("no"), r"ray\.address: cannot join head:6379 \(ValueError\)"),
    ],
)
def test_what_ray_raises_is_refused(
    address: str | None, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(module, "refuse_unreachable", lambda address: None)
    with pytest.raises(RefusedRun, match=said), join_cluster(RayConfig(address)):
        pass
