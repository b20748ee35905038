"""How good a tiny intern is: accuracies by kind of prefix and temperature, on phantoms that it was not trained on."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantom_drawing import draw_phantom
from mics_ray.local.training.intern_texts import Sample, make_sample, other_than

MEASURED = ("none", "neutral", "narrowing", "hedged", "naming", "misleading", "misplaced", "corrected")
OTHER_PICTURE = "other_picture"
TEMPERATURES = (0.0, 0.3, 1.2)
_SEED = 7_000_000_000  # far from the seeds of training and of the embedded cases
_FORMAT = re.compile(r"### The final answer is: (\S.*)")
_BATCH = 50  # prompts generated at once
LONGEST_ANSWER = 24
"""Tokens of the longest answer line; more would only be babble behind a missing end token."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares: ``right`` names what is drawn, ``followed`` what the prefix speaks of, ``format`` is kept."""

    right: float
    followed: float
    format: float


def prompt_text(processor: Any, prompt: str, pictures: int, system: str = "") -> str:
    """The chat as the model reads it: a system message where there is one, a user message, the pictures before its
    text."""
    content = [*({"type": "image"} for _ in range(pictures)), {"type": "text", "text": prompt}]
    chat = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": content}]
    return str(processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))


@torch.inference_mode()
def complete_prompts(
    model: Any,
    processor: Any,
    prompts: Sequence[str],
    pictures: Sequence[Image.Image] | None,
    temperature: float,
    longest: int = LONGEST_ANSWER,
    system: str = "",
) -> list[str]:
    """A completion of at most ``longest`` tokens for each prompt, with its picture where there are ``pictures``.

    Temperature 0 is greedy; sampling uses the whole vocabulary.
    """
    texts = [prompt_text(processor, prompt, 0 if pictures is None else 1, system) for prompt in prompts]
    shown = None if pictures is None else [[picture] for picture in pictures]
    inputs = processor(images=shown, text=texts, return_tensors="pt", padding=True, padding_side="left")
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    tokens = model.generate(**inputs, max_new_tokens=longest, **(sampling if temperature else {"do_sample": False}))
    return list(processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def is_answer(text: str, finding: int) -> bool:
    """Whether a completion is well formed and names the finding or a synonym of it."""
    found = _FORMAT.fullmatch(text.strip())
    names = (FINDINGS[finding].answer, *FINDINGS[finding].synonyms)
    return found is not None and found.group(1).casefold() in {name.casefold() for name in names}


def make_exercises(template: str, kind: str, count: int) -> tuple[list[Sample], list[Image.Image]]:
    """``count`` exercises of one kind with their pictures; ``other_picture`` shows a finding that is not asked for."""
    samples, pictures = [], []
    for index in range(count):
        seed = _SEED + index
        finding = index % len(FINDINGS)
        samples.append(make_sample(template, "none" if kind == OTHER_PICTURE else kind, finding, seed))
        shown = other_than(finding, random.Random(seed)) if kind == OTHER_PICTURE else finding
        pictures.append(draw_phantom(shown, np.random.default_rng(seed)))
    return samples, pictures


def measure_kind(model: Any, processor: Any, template: str, kind: str, temperature: float, count: int) -> Scores:
    """Score ``count`` completions of one kind at one temperature."""
    samples, pictures = make_exercises(template, kind, count)
    texts: list[str] = []
    for start in range(0, count, _BATCH):
        part = slice(start, start + _BATCH)
        prompts = [item.prompt for item in samples[part]]
        texts += complete_prompts(model, processor, prompts, pictures[part], temperature)
    pairs = list(zip(texts, samples, strict=True))
    return Scores(
        right=round(sum(is_answer(text, item.drawn) for text, item in pairs) / count, 3),
        followed=round(sum(is_answer(text, item.wanted) for text, item in pairs) / count, 3),
        format=round(sum(_FORMAT.fullmatch(text.strip()) is not None for text in texts) / count, 3),
    )
