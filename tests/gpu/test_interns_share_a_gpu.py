"""Interns on a part of a GPU: real vLLM engines that start at once, fit side by side, and answer."""

import asyncio
import hashlib
from importlib import resources
from typing import Any

import pytest
import ray
import torch

from mics_ray.config.schema import Config, InternDefaults, ModelConfig
from mics_ray.core.seeds import derive_seed
from mics_ray.models.engine.vllm_settings import is_cpu_build
from mics_ray.models.types import Pictures, Reply, Request
from mics_ray.runtime.serving.model_actors import connect_routers, start_replicas
from mics_ray.runtime.serving.picture_refs import PictureRefs

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(is_cpu_build(), reason="vLLM of this environment is a CPU build")]

SHARE = 0.4
QUESTION = "Which finding does the radiograph show?\n\n### Step 1: Look at both lungs and the outline of the heart."
INTERNS = {
    name: InternDefaults(model=f"embedded:interns/{name}", gpus=SHARE, max_model_len=2048, max_tokens=32)
    for name in ("internvl", "qwen25vl")
}


@pytest.fixture(scope="module")
def replicas(gpu_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Both, started at the same time and loaded; a start that fails is an error, it is not repeated."""
    elsewhere = ModelConfig(model="m", base_url="local")
    config = Config(mentors={"mentor": elsewhere}, interns=INTERNS, judge=elsewhere)
    started = start_replicas(config, None, str(tmp_path_factory.mktemp("logs")))
    ray.get([handle.ready.remote() for handles in started.values() for handle in handles], timeout=580)
    return started


def test_both_are_on_one_gpu_and_within_their_shares(replicas: dict[str, list[Any]]) -> None:
    facts = ray.get([handles[0].read_facts.remote() for handles in replicas.values()])
    assert len({(one.node, one.gpus) for one in facts}) == 1
    assert len(facts[0].gpus.split(",")) == 1
    free, total = torch.cuda.mem_get_info(int(facts[0].gpus))
    assert 1.7 * SHARE < (total - free) / total < 2 * SHARE  # an engine takes 0.9 of its share


async def test_both_answer_about_pictures(replicas: dict[str, list[Any]]) -> None:
    folder = resources.files("mics_ray.local") / "cases" / "images"
    routers = connect_routers(replicas, PictureRefs())
    for name, router in routers.items():
        for number in range(1, 9):
            shown = ((folder / f"phantom-{number:03}.png").read_bytes(),)
            pictures = Pictures(hashlib.sha256(shown[0]).hexdigest(), shown)
            request = Request(name, "m", "", "", QUESTION, pictures.digest, 0.0, 32, derive_seed(number))
            reply = await asyncio.wait_for(router.route_request(f"case-{number}", request, pictures), 120)
            assert isinstance(reply, Reply)
            assert reply.text.strip()
            assert reply.finish in ("stop", "length")
