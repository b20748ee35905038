"""A Ray that cannot be started or joined is one line, not a traceback."""

from typing import Any

import pytest
import ray
from ray._private import parameter, services
from ray._private.utils import validate_socket_filepath

from mics_ray.config.schema import RayConfig
from mics_ray.errors import RefusedRun
from mics_ray.runtime.driver import cluster as module
from mics_ray.runtime.driver.cluster import join_cluster
from mics_ray.runtime.driver.session_folder import LONGEST_SOCKET, SESSION, find_length_problem


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
def test_a_ray_of_this_machine_has_no_process_that_looks_for_its_cloud_or_that_a_run_does_not_need(
    address: str | None, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = services.start_api_server, parameter.RayParams
    during: list[Any] = []

    def init(*_: Any, **__: Any) -> None:
        during.extend([services.start_api_server, parameter.RayParams()])

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(module, "refuse_unreachable", lambda address: None)
    monkeypatch.setattr(module, "shutdown_ray", lambda: None)
    with join_cluster(RayConfig(address)):
        pass
    assert (during[0] is not before[0]) == alone
    if alone:
        assert during[0](False, raise_on_failure=False) == (None, None)
    assert (during[1].no_monitor, during[1].include_log_monitor) == ((True, False) if alone else (False, None))
    assert (services.start_api_server, parameter.RayParams) == before


def test_a_temporary_folder_that_leaves_no_room_for_sockets_is_refused_before_ray_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(ray, "init", lambda *_, **__: started.append(1))
    monkeypatch.setattr(module, "shutdown_ray", lambda: None)
    monkeypatch.setenv("RAY_TMPDIR", "/" + 39 * "t")
    said = r"^RAY_TMPDIR, TMPDIR: /t+/ray has 44 bytes, 43 is the most .*; set RAY_TMPDIR to a shorter folder$"
    with pytest.raises(RefusedRun, match=said), join_cluster(RayConfig()):
        pass
    assert started == []
    monkeypatch.setenv("RAY_TMPDIR", "/" + 38 * "t")
    with join_cluster(RayConfig()):
        assert started == [1]


def test_the_room_is_what_ray_s_own_sockets_take() -> None:
    """The longest path that is let through is the longest that Ray takes."""
    longest = "/" + (LONGEST_SOCKET - len(SESSION) - 1) * "f"
    assert find_length_problem(longest) == ""
    validate_socket_filepath(longest + SESSION)
    assert find_length_problem(longest + "f")
    with pytest.raises(OSError, match="107 bytes"):
        validate_socket_filepath(longest + "f" + SESSION)
