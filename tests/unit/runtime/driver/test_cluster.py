"""A Ray that cannot be started or joined is one line, not a traceback."""

from typing import Any

import pytest
import ray
from ray._private import services

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


@pytest.mark.parametrize(("address", "alone"), [(None, True), ("head:6379", False)])
def test_a_ray_of_this_machine_has_no_process_that_looks_for_its_cloud(
    address: str | None, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = services.start_api_server
    during: list[Any] = []
    monkeypatch.setattr(ray, "init", lambda *_, **__: during.append(services.start_api_server))
    monkeypatch.setattr(module, "refuse_unreachable", lambda address: None)
    monkeypatch.setattr(module, "shutdown_ray", lambda: None)
    with join_cluster(RayConfig(address)):
        pass
    assert (during[0] is not before) == alone
    if alone:
        assert during[0](False, raise_on_failure=False) == (None, None)
    assert services.start_api_server is before
