"""`cache.max_gb` over a whole run: what cannot be kept is not bought, and what was bought is kept."""

from pathlib import Path

import pytest

from mics_ray.models.replies.reply_store import GB
from mics_ray.models.replies.store_file import folder_bytes
from tests.chaos.conftest import LATENCY_S, SETTINGS, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

SMALL_GB, LARGE_GB = 0.0003, 1


def test_a_full_cache_ends_with_74_and_with_more_room_the_same_command_goes_on(
    tmp_path: Path, joined_run: WholeRun, calm_run: Calm
) -> None:
    run = joined_run
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS)
        full = run.to_end(f"cache.max_gb={SMALL_GB}")
        assert full.returncode == 74, full.stdout + full.stderr
        assert "cache.max_gb" in full.stdout + full.stderr
        assert "Traceback" not in full.stderr
        calls = len(provider.times)
        assert 0 < calls < calm_run.calls

        # Less than what is there: closing folds the journals in, so the limit itself may have room again.
        again = run.to_end(f"cache.max_gb={folder_bytes(run.dir / 'cache') / 2 / GB}")
        assert again.returncode == 74, again.stdout + again.stderr
        assert len(provider.times) == calls, "there is no room for a further reply"

        done = run.to_end(f"cache.max_gb={LARGE_GB}")
        assert done.returncode == 0, done.stderr
    assert run.result() == calm_run.result
    assert provider.repaid() == 0, "nothing that was paid for was dropped"
    assert len(provider.times) == calm_run.calls
