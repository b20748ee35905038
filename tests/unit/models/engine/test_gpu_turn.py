"""Engines on one GPU wait for each other; others do not."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from mics_ray.config.schema import InternDefaults
from mics_ray.models.engine.gpu_turn import wait_for_gpu_turn


@pytest.mark.parametrize(("gpus", "on_gpu", "most"), [(0.4, True, 1), (None, True, 3), (0.4, False, 3)])
async def test_engines_that_share_a_gpu_start_one_after_another(
    gpus: float | None, on_gpu: bool, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    starting, seen = 0, []

    async def start() -> None:
        nonlocal starting
        async with wait_for_gpu_turn(InternDefaults(model="m", gpus=gpus), on_gpu):
            starting += 1
            seen.append(starting)
            await asyncio.sleep(0.05)
            starting -= 1

    await asyncio.gather(start(), start(), start())
    assert max(seen) == most
    assert len(seen) == 3
