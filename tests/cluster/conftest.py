"""One local Ray and one pair of tiny engines, shared by every test under ``tests/cluster``."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from mics_ray.config.schema import Config, InternDefaults, ModelConfig
from mics_ray.runtime.serving.model_actors import start_replicas

CANARY = "sk-canary-5f1e"
KEY_VARIABLES = {"OPENAI_API_KEY": "an intern must not have this", "ODDLY_NAMED_FOR_MENTORS": "nor this one"}
TINY = {
    "tiny_internvl": InternDefaults(model="embedded:interns/internvl", max_model_len=2048, max_tokens=32),
    "tiny_qwen25vl": InternDefaults(model="embedded:interns/qwen25vl", max_model_len=2048, max_tokens=32),
}


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray of our own on this machine, started in an environment that holds API keys."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="mr", dir="/tmp") as folder:
        for name in KEY_VARIABLES:
            patch.setenv(name, CANARY)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cores = max(2, os.cpu_count() or 2)
        ray.init("local", num_cpus=cores, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        try:
            yield
        finally:
            ray.shutdown()


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared engines keep their replies."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def replicas(ray_cluster: None, cache_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Both tiny interns on real vLLM, loaded: actor handles by intern, one replica each."""
    mentor = ModelConfig(model="m", base_url="local", api_key_env="ODDLY_NAMED_FOR_MENTORS")
    config = Config(mentors={"mentor": mentor}, interns=TINY, judge=ModelConfig(model="j", base_url="local"))
    started = start_replicas(config, str(cache_folder), str(tmp_path_factory.mktemp("logs")))
    ray.get([handle.ready.remote() for handles in started.values() for handle in handles], timeout=300)
    return started
