"""One local Ray on the GPUs of this machine, shared by every test under ``tests/gpu``; skipped without CUDA."""

import tempfile
from collections.abc import Iterator

import pytest
import ray
import torch


@pytest.fixture(scope="session")
def gpu_cluster() -> Iterator[None]:
    """A Ray of our own that has found the GPUs by itself."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA")
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="mr", dir="/tmp") as folder:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        try:
            yield
        finally:
            ray.shutdown()
