"""Program of ``test_adapter_serves``: a random LoRA adapter on vLLM and on transformers with peft, same requests."""

import asyncio
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mics_ray.config.schema import InternDefaults
from mics_ray.local.phantom_drawing import draw_phantom
from mics_ray.models.engine.vllm_engine import VllmEngine
from mics_ray.models.types import Pictures, Request

TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
TEXT = "Which finding does the radiograph show?\n\n### Step 1: Look at both lungs and the outline of the heart."
COUNT, ROOM = 12, 24


def films(number: int) -> list[Image.Image]:
    """No, one or two phantom radiographs."""
    return [draw_phantom(number % 8, np.random.default_rng([number, k])).convert("RGB") for k in range(number % 3)]


def pictures(shown: list[Image.Image]) -> Pictures | None:
    """The films as the engine gets them; PNG keeps every pixel."""
    files = []
    for film in shown:
        file = io.BytesIO()
        film.save(file, "PNG")
        files.append(file.getvalue())
    return Pictures(hashlib.sha256(b"".join(files)).hexdigest(), tuple(files)) if files else None


async def serve(model: str, adapter: str) -> dict[str, list[Any]]:
    """Whole answers, and the same ones streamed, as the list of their parts."""
    config = InternDefaults(model=model, adapter=adapter, max_model_len=2048)
    engine = await VllmEngine.start(config, on_gpu=False)
    try:
        asked = []
        for number in range(COUNT):
            shown = pictures(films(number))
            digest = shown.digest if shown else ""
            asked.append((Request("m", "m", "", "", f"{TEXT} ({number})", digest, 0.0, ROOM, 0), shown))
        replies = await asyncio.gather(*(engine.complete(*one) for one in asked))
        streamed = [[part async for part in engine.stream(*one)] for one in asked]
        return {"whole": [reply.text for reply in replies], "streamed": streamed}
    finally:
        engine.stop()


def make_adapter(model: str, folder: str) -> None:
    """Save an adapter whose B matrices are not zero, so that it changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    base = AutoModelForImageTextToText.from_pretrained(model)
    tuned = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    tuned.save_pretrained(folder)


def reference(model: str, adapter: str) -> dict[str, list[str]]:
    """The same from transformers, greedily and one by one, with the adapter and without it."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.set_num_threads(1)
    processor: Any = AutoProcessor.from_pretrained(model)
    tuned = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(model), adapter).eval()
    asked = []
    for number in range(COUNT):
        shown = films(number)
        content = [*({"type": "image"} for _ in shown), {"type": "text", "text": f"{TEXT} ({number})"}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        asked.append(processor(text=[text], images=shown or None, return_tensors="pt"))

    def told() -> list[str]:
        found = []
        for inputs in asked:
            tokens = tuned.generate(**inputs, max_new_tokens=ROOM, do_sample=False)[0, inputs["input_ids"].shape[1] :]
            found.append(processor.tokenizer.decode(tokens, skip_special_tokens=True))
        return found

    with_adapter = told()
    with tuned.disable_adapter():
        return {"tuned": with_adapter, "base": told()}


def main() -> None:
    """``serve_adapter.py MODEL_FOLDER ADAPTER_FOLDER RESULT_FILE``; the adapter is made here."""
    model, adapter, result = sys.argv[1:]
    make_adapter(model, adapter)
    found = {"vllm": asyncio.run(serve(model, adapter)), "transformers": reference(model, adapter)}
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
