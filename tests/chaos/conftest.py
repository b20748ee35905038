"""The run that nobody disturbed, which every disturbed one is held against."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_provider import FaultyProvider
from tests.support.ray_nodes import RayNodes, ray_nodes
from tests.support.whole_run import WholeRun

CASES = 24
LATENCY_S = 0.03
PRICE = (2.5, 10.0)
SETTINGS = {
    "deadline_s": 10, "max_in_flight": 16, "max_tokens": 256,
    "price": {"input_per_mtok": PRICE[0], "output_per_mtok": PRICE[1]},
}  # fmt: skip


PATIENT = SETTINGS | {"deadline_s": 300}
"""For runs in which the provider is held: no call is given up and paid again meanwhile."""


@dataclass(frozen=True)
class Calm:
    """Canonical result, calls, their bill, and the size of the run's folder in MB."""

    result: list[list[Any]]
    calls: int
    bill_usd: float
    megabytes: float


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[RayNodes]:
    """One Ray for all runs whose test does not kill it: each saves the ten seconds of a start of its own."""
    with ray_nodes() as nodes:
        nodes.start_head()
        yield nodes


def join_run(folder: Path, nodes: RayNodes, at: Path | None = None) -> WholeRun:
    """A run that joins ``nodes``."""
    return WholeRun(folder, CASES, at=at, extra=(f"ray.address={nodes.address}",), environment=nodes.environment)


@pytest.fixture
def joined_run(tmp_path: Path, shared_ray: RayNodes) -> WholeRun:
    """A run on the shared Ray."""
    return join_run(tmp_path, shared_ray)


@pytest.fixture(scope="session")
def calm_run(tmp_path_factory: pytest.TempPathFactory, shared_ray: RayNodes) -> Calm:
    run = join_run(tmp_path_factory.mktemp("calm"), shared_ray)
    with FaultyProvider(latency_s=LATENCY_S, price=PRICE) as provider:
        provider.write_groups(run.folder / "conf", **SETTINGS)
        done = run.to_end()
        assert done.returncode == 0, done.stderr
    found = run.result()
    assert [row[0] for row in found] == [f"case-{number:04}" for number in range(CASES)]
    assert provider.repaid() == 0
    return Calm(found, len(provider.times), provider.bill_usd, run.megabytes())
