"""The driver killed at every commit point of a run and at twenty drawn moments, each time while the last is resumed."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import PATIENT, PRICE
from tests.support.commit_points import Striker
from tests.support.faulty_provider import FaultyProvider
from tests.support.killer import Killer
from tests.support.processes import until
from tests.support.ray_nodes import RayNodes, ray_nodes
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

CASES, WINDOW, LATENCY_S = 24, 4, 0.05
MOMENTS = 20
SEED = 11
LATEST = 60
"""A point that comes often is struck at one of its first times: every run but the last must come to one."""
FOLDERS = 12
MUST_BE = (
    "driver: before rename config.yaml", "driver: after rename summary.json", "driver: after rename identity.json",
    "writer: before open results/part-N.parquet.tmp", "writer: before fsync results/part-N.parquet.tmp",
    "writer: before rename results/part-N.parquet", "writer: after rename results/part-N.parquet",
    "writer: after fsync results", "writer: before open logs/cases.jsonl",
    "endpoint: before fsync cache/endpoint-N.N.replies", "endpoint: after fsync cache/endpoint-N.N.replies",
    "endpoint: before rename cache/endpoint-N.N.sqlite", "endpoint: after rename cache/endpoint-N.N.sqlite",
    "endpoint: before COMMIT cache/spent.ledger", "endpoint: after COMMIT cache/spent.ledger",
)  # fmt: skip
"""So that a hook that sees less is noticed."""


@dataclass
class Struck:
    """A cluster whose processes hear the striker, and the run that nobody disturbed in it."""

    nodes: RayNodes
    striker: Striker
    points: Counter[str] = field(default_factory=Counter)
    result: list[list[Any]] = field(default_factory=list)
    calls: int = 0

    def run(self, folder: Path) -> WholeRun:
        """A run that joins the cluster."""
        environment = self.nodes.environment
        return WholeRun(folder, CASES, WINDOW, extra=(f"ray.address={self.nodes.address}",), environment=environment)


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Struck]:
    striker = Striker(tmp_path_factory.mktemp("striker"))
    striker.stand_down()
    with ray_nodes(**striker.environment) as nodes, provider() as calm:
        nodes.start_head()
        found = Struck(nodes, striker)
        run = found.run(tmp_path_factory.mktemp("calm"))
        calm.write_groups(run.folder / "conf", **PATIENT)
        found.points, found.result, found.calls = striker.points(run), run.result(), len(calm.times)
        assert [row[0] for row in found.result] == [f"case-{number:04}" for number in range(CASES)]
        assert calm.repaid() == 0
        yield found


def provider() -> FaultyProvider:
    """One that never fails."""
    return FaultyProvider(latency_s=LATENCY_S, price=PRICE)


def test_the_driver_dies_at_every_commit_point(
    tmp_path: Path, struck: Struck, record_property: Callable[[str, object], None]
) -> None:
    assert set(MUST_BE) <= set(struck.points), sorted(struck.points)
    rng, order = random.Random(SEED), sorted(struck.points)
    rng.shuffle(order)
    # What comes at the end of a run only: the first of them does all the work that is left.
    order.sort(key=lambda point: "summary" in point or "latencies" in point)
    with provider() as serving:
        runs = [_fresh(tmp_path, 0, struck, serving)]
        for point in order:
            nth = rng.randint(1, min(LATEST, max(1, struck.points[point] // 2)))
            while not struck.striker.strike(runs[-1], point, nth):
                # It was done before it came to the point.
                assert runs[-1].result() == struck.result, point
                assert len(runs) < FOLDERS, point
                runs.append(_fresh(tmp_path, len(runs), struck, serving))
        done = runs[-1].to_end()
        assert done.returncode == 0, done.stderr
        assert all(run.result() == struck.result for run in runs)
    kills = struck.striker.struck.total()
    assert set(struck.striker.struck) == set(struck.points)
    # Every folder has a cache of its own and pays for all calls once.
    again = serving.repaid() - (len(runs) - 1) * struck.calls
    assert again <= kills * serving.permits
    _tell(record_property, f"{kills} points, {len(runs)} folders, {again} calls paid again")


def test_the_driver_dies_at_drawn_moments(
    tmp_path: Path, struck: Struck, record_property: Callable[[str, object], None]
) -> None:
    moments = sorted(random.Random(SEED).sample(range(1, int(struck.calls * 0.95)), MOMENTS))
    in_flight = kills = 0
    with provider() as serving:
        run = _fresh(tmp_path, 0, struck, serving)
        for moment in moments:
            with run.start() as started:
                killer = Killer(started)
                _wait(killer, serving, moment)
                in_flight += serving.open
                assert killer.strike("driver"), f"the run ended before call {moment}: {run.messages()}"
                kills += 1
        serving.release()
        done = run.to_end()
        assert done.returncode == 0, done.stderr
        assert run.result() == struck.result
    assert kills == MOMENTS
    assert serving.repaid() <= kills * serving.permits
    _tell(record_property, f"{kills} moments, {in_flight} calls in flight at them, {serving.repaid()} paid again")


def _wait(killer: Killer, serving: FaultyProvider, moment: int) -> None:
    """Until that many different calls were answered, or the run is over."""
    serving.hold_when = lambda: len(serving.paid) >= moment
    serving.release()
    until(lambda: serving.held or not killer.alive, 300)


def _fresh(folder: Path, number: int, struck: Struck, serving: FaultyProvider) -> WholeRun:
    """A run that has done nothing. Its seed is the calm one's, but no other folder's replies are in its cache."""
    run = struck.run(folder / f"folder-{number}")
    serving.write_groups(run.folder / "conf", **PATIENT)
    return run


def _tell(record_property: Callable[[str, object], None], line: str) -> None:
    record_property("driver killed", line)
    print(line)
