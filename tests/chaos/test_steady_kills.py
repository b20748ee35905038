"""A kill every five seconds for as long as the run lasts, and what that costs."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faulty_provider import FaultyProvider
from tests.support.killer import Killer
from tests.support.processes import until
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

CASES, WINDOW, WORKERS, LATENCY_S = 110, 12, 4, 0.3
"""Of one worker out of four the others go on; the one endpoint stops all calls for the 2 s of its start."""
SETTINGS = {"deadline_s": 60, "max_in_flight": 48}
AT_MOST_S = 120.0


def test_kills_every_five_seconds_change_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    more = (f"ray.workers={WORKERS}",)
    calm, disturbed = (WholeRun(tmp_path / name, CASES, WINDOW, extra=more) for name in ("calm", "disturbed"))
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(calm.folder / "conf", **SETTINGS)
        done = calm.to_end()
        assert done.returncode == 0, done.stderr
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(disturbed.folder / "conf", **SETTINGS)
        with disturbed.start() as started:
            killer = Killer(started)
            until(lambda: provider.times or not killer.alive)
            until_s = time.monotonic() + AT_MOST_S
            every_s = min(5.0, calm.summary()["search_seconds"] / 8)  # a quick machine's run is over sooner
            killer.every(every_s, ("worker", "writer", "endpoint"), until_s, work=lambda: len(provider.times))
            assert started.wait(240) == 0, disturbed.messages()
    kills = killer.sent.total()
    assert kills >= 5, killer.sent
    assert disturbed.result() == calm.result()
    assert provider.repaid() <= kills * provider.permits
    share = calm.summary()["search_seconds"] / disturbed.summary()["search_seconds"]
    found = f"{dict(killer.sent)}, {share:.0%} of the calm throughput, {provider.repaid()} calls paid again"
    record_property("steady kills", found)
    print(found)
