"""Program of ``test_tiny_interns_serve``: one embedded intern on vLLM and transformers, the same prompts, as JSON."""

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mics_ray.local.phantom_drawing import draw_phantom
from mics_ray.local.training.intern_measure import prompt_text
from mics_ray.local.training.intern_texts import KINDS, make_noise, make_sample, read_template

COUNT = 48
PICTURES = (1, 1, 1, 2, 0, 1)
SIZES = ((56, 56), (512, 400), (300, 512), (64, 640), (20, 20))
Item = tuple[str, list[Image.Image]]


def items(processor: Any, template: str) -> list[Item]:
    """Prompts of every kind, with no, one or two pictures of several sizes; the last one is long and unknown."""
    made: list[Item] = []
    for index in range(COUNT):
        drawn = make_sample(template, KINDS[index % len(KINDS)], index % 8, 5_000_000_000 + index)
        films = [
            draw_phantom(drawn.drawn, np.random.default_rng([index, k])) for k in range(PICTURES[index % len(PICTURES)])
        ]
        films = [film.convert("RGB").resize(SIZES[index % len(SIZES)]) for film in films]
        made.append((prompt_text(processor, drawn.prompt, len(films)), films))
    prompt = template.format(question=make_noise(random.Random(0), 900), prefix="(nothing yet)")
    return [*made, (prompt_text(processor, prompt, 1), made[0][1])]


async def serve(folder: str, asked: list[Item]) -> list[dict[str, Any]]:
    """Prompt tokens and text of every item from one vLLM engine, all at once."""
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    engine = AsyncLLM.from_engine_args(
        AsyncEngineArgs(
            model=folder,
            dtype="float32",
            enforce_eager=True,
            block_size=32,
            max_model_len=8192,
            kv_cache_memory_bytes=256 << 20,
            limit_mm_per_prompt={"image": 8},
        )
    )

    async def one(number: int, text: str, pictures: list[Image.Image]) -> dict[str, Any]:
        prompt: Any = {"prompt": text, **({"multi_modal_data": {"image": pictures}} if pictures else {})}
        async for output in engine.generate(prompt, SamplingParams(temperature=0, max_tokens=32), str(number)):
            last = output
        return {"tokens": list(last.prompt_token_ids or []), "text": last.outputs[0].text}

    try:
        return await asyncio.gather(*(one(number, *item) for number, item in enumerate(asked)))
    finally:
        engine.shutdown()


def reference(folder: str, processor: Any, asked: list[Item]) -> list[dict[str, Any]]:
    """The same from transformers, greedily and one by one."""
    import torch
    from transformers import AutoModelForImageTextToText

    torch.set_num_threads(1)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    told = []
    for text, pictures in asked:
        inputs = processor(text=[text], images=pictures or None, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=32, do_sample=False)
        start = inputs["input_ids"].shape[1]
        answer = processor.tokenizer.decode(tokens[0, start:], skip_special_tokens=True)
        told.append({"tokens": inputs["input_ids"][0].tolist(), "text": answer})
    return told


def main() -> None:
    """``serve_intern.py MODEL_FOLDER PROMPTS_FILE RESULT_FILE``."""
    from transformers import AutoProcessor

    folder, prompts, result = sys.argv[1:]
    processor = AutoProcessor.from_pretrained(folder)
    asked = items(processor, read_template(Path(prompts), "intern"))
    both = {"vllm": asyncio.run(serve(folder, asked)), "transformers": reference(folder, processor, asked)}
    Path(result).write_text(json.dumps(both), encoding="utf-8")


if __name__ == "__main__":
    main()
