"""Program of ``test_sampling``: a model on vLLM that draws in several ways, its texts as JSON."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from mics_ray.config.schema import InternDefaults
from mics_ray.models.engine.vllm_engine import VllmEngine
from mics_ray.models.types import Request, encode_options

PROMPT = "Write a whole chain of reasoning."
WAYS: dict[str, Any] = {"plain": None, "model": "model", "top_k": {"top_k": 1}, "top_p": {"top_p": 0.001}}
SEEDS = range(6)


async def draw(folder: str) -> dict[str, list[str]]:
    """Texts at temperature 2, by way; ``greedy`` at temperature 0."""
    engine = await VllmEngine.start(InternDefaults(folder, max_model_len=2048), on_gpu=False)

    async def ask(seed: int, temperature: float, sampling: Any = None) -> str:
        options = encode_options(sampling=sampling)
        request = Request("m", folder, "", "", PROMPT, "", temperature, 24, seed, options)
        return (await engine.complete(request, None)).text

    try:
        texts = {way: [await ask(seed, 2.0, sampling) for seed in SEEDS] for way, sampling in WAYS.items()}
        return texts | {"greedy": [await ask(0, 0.0)]}
    finally:
        engine.stop()


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(asyncio.run(draw(sys.argv[1]))), encoding="utf-8")
