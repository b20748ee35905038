"""Joining a Ray cluster, or starting one on this machine."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray._private import parameter, ray_constants, services

from mics_ray.config.keys import HUB_TOKENS, hold_hub_token
from mics_ray.config.schema import RayConfig
from mics_ray.errors import RefusedRun
from mics_ray.proxies import reach_directly
from mics_ray.runtime.driver.gcs_check import refuse_unreachable
from mics_ray.runtime.driver.head_watch import shutdown_ray
from mics_ray.runtime.driver.session_folder import find_length_problem

VERSIONS = re.compile(r"^ *((?:Ray|Python): \S+)$", re.M)
"""In the error of a Ray that is joined with other versions: the cluster's two, then ours."""
OBJECT_STORE_BYTES = 1 << 30
"""Of a cluster that is started here: pictures of the open searches, and Ray Data's blocks."""


@contextmanager
def join_cluster(config: RayConfig, needs_hub_token: bool = False) -> Iterator[None]:
    """A connected Ray for a while; one that was started here ends with it. Raises :class:`RefusedRun`.

    Unless ``needs_hub_token`` the job's processes do not have the hub's token, but for those that fetch weights.

    A process that is connected already, as one with a Ray Dataset of its own, stays so.
    """
    if ray.is_initialized():
        yield
        return
    reach_directly()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine unasked
    with (
        _of_this_machine() if config.address is None else nullcontext(),
        nullcontext() if needs_hub_token else hold_hub_token(),
    ):
        _connect_ray(config.address, needs_hub_token)
        try:
            yield
        finally:
            shutdown_ray()


def _connect_ray(address: str | None, needs_hub_token: bool) -> None:
    # Ray's own logs go to its session folder; ours have files of their own.
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        if problem := find_length_problem(get_default_ray_temp_dir()):
            raise RefusedRun(f"RAY_TMPDIR, TMPDIR: {problem}; set RAY_TMPDIR to a shorter folder")
        try:
            ray.init("local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **common)
        except Exception as error:  # Ray has no type of its own for a start that takes too long
            raise RefusedRun(
                f"Ray does not start on this machine ({error}); is it too busy, or its memory full?"
            ) from None
        return
    refuse_unreachable(address)
    if not needs_hub_token:  # a node's own token, with which its Ray was started
        common["runtime_env"] = {"env_vars": dict.fromkeys(HUB_TOKENS, "")}
    try:
        ray.init(address, **common)
    except (ConnectionError, ValueError) as error:
        hint = "is it up, and are RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH the same there and here?"
        raise RefusedRun(f"ray.address: cannot join {address} ({type(error).__name__}); {hint}") from None
    except RuntimeError as error:
        if not (found := VERSIONS.findall(str(error))):
            raise
        theirs, ours = (", ".join(found[start : start + 2]) for start in (0, 2))
        raise RefusedRun(f"ray.address: {address} has {theirs}, this machine {ours}; use the same on both") from None


@contextmanager
def _of_this_machine() -> Iterator[None]:
    """While this lasts, a Ray that starts keeps to loopback, and has no processes that a run does not need."""
    with _on_loopback(), _without_dashboard_process(), _without_monitors():
        yield


@contextmanager
def _without_dashboard_process() -> Iterator[None]:
    """While this lasts, a Ray that starts has no dashboard process.

    Without a dashboard Ray starts it all the same, for its usage statistics: with those off, too, it looks up which
    cloud it is in, at addresses outside this machine.
    """
    started = services.start_api_server
    services.start_api_server = lambda *_, **__: (None, None)  # no address, no process
    try:
        yield
    finally:
        services.start_api_server = started


@contextmanager
def _without_monitors() -> Iterator[None]:
    """While this lasts, a Ray that starts has neither an autoscaler nor a process that carries logs to the driver.

    Each takes nearly a second of CPU to start. `ray.init` has no arguments for them; its parameters do.
    """
    parameters = parameter.RayParams
    parameter.RayParams = partial(parameters, no_monitor=True, include_log_monitor=False)
    try:
        yield
    finally:
        parameter.RayParams = parameters


@contextmanager
def _on_loopback() -> Iterator[None]:
    """While this lasts, a Ray that starts listens on loopback alone, where nobody needs a token.

    Ray has this for Windows and macOS only; its ``_node_ip_address`` takes no loopback address. The variable is for its
    processes, the constant for this one, which has read the variable already.
    """
    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    given = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        if given is None:
            del os.environ[name]
        else:
            os.environ[name] = given


def own_node() -> Any:
    """The scheduling strategy of an actor that belongs on the node of the process that starts it."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
