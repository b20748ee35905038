"""Batches for training the tiny interns: exercises and varied phantoms as tensors, and the loss on one batch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mics_ray.local.findings import FINDINGS
from mics_ray.local.intern_measure import prompt_text
from mics_ray.local.intern_models import SIDE, VISUAL_TOKENS
from mics_ray.local.intern_texts import Sample, random_sample
from mics_ray.local.phantoms import draw

MOST_CHARACTERS = 30_000  # of a batch, padding counted in


class Pool:
    """Clear phantoms to train on, slightly shifted, brightened and roughened each time they are shown.

    Interns learn the findings from clear films alone: faint ones only slow them down, and shall stay hard for them.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._films = np.stack(
            [np.asarray(draw(k % len(FINDINGS), np.random.default_rng([seed, k]), faint_share=0)) for k in range(size)]
        )

    def film(self, finding: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One 56 x 56 film that shows ``finding``."""
        place = int(rng.integers(len(self._films) // len(FINDINGS))) * len(FINDINGS) + finding
        rows, columns = rng.integers(0, 5, 2)
        shifted = np.pad(self._films[place], 2, mode="edge")[rows : rows + SIDE, columns : columns + SIDE]
        grey = shifted * rng.uniform(0.9, 1.1) + rng.normal(0, 6) + rng.normal(0, 3, shifted.shape)
        return np.clip(grey, 0, 255).astype(np.uint8)


class Exercises:
    """Turns samples into batches as the real processor would, without its cost per sample."""

    def __init__(self, pool: Pool, processor: Any, template: str, batch: int, seed: int) -> None:
        self._pool, self._processor, self._template, self._size = pool, processor, template, batch
        self._rng = np.random.default_rng(seed)
        self._image_token = processor.image_token

    def pictures_only(self) -> dict[str, Any]:
        """A batch of twice the size: a picture, no words, the answer."""
        findings = self._rng.integers(len(FINDINGS), size=2 * self._size).tolist()
        return self._batch([Sample("", finding, finding, "none") for finding in findings])

    def full(self) -> Iterator[dict[str, Any]]:
        """Eight batches' worth of full prompts; each holds prompts of similar length, fewer where they are long."""
        seeds = self._rng.integers(1 << 40, size=8 * self._size)
        samples = sorted(
            (random_sample(self._template, int(seed)) for seed in seeds), key=lambda item: len(item.prompt)
        )
        groups: list[list[Sample]] = [[]]
        for item in samples:
            if len(groups[-1]) == self._size or (len(groups[-1]) + 1) * len(item.prompt) > MOST_CHARACTERS:
                groups.append([])
            groups[-1].append(item)
        for index in self._rng.permutation(len(groups)):
            yield self._batch(groups[index])

    def _batch(self, samples: list[Sample]) -> dict[str, Any]:
        """Right-padded tokens; labels, -100 but for the answer and its end token; a picture a sample, seldom 0 or 2."""
        tokenizer = self._processor.tokenizer
        prompts, films = [], []
        for item in samples:
            pictures = int(self._rng.choice((0, 1, 2), p=(0.02, 0.92, 0.06)))
            films += [self._pool.film(item.drawn, self._rng) for _ in range(pictures)]
            prompts.append(self._expanded(prompt_text(self._processor, item.prompt, pictures)))
        asked = tokenizer(prompts)["input_ids"]
        told = tokenizer([item.target + tokenizer.eos_token for item in samples])["input_ids"]
        longest = max(len(a) + len(t) for a, t in zip(asked, told, strict=True))
        tokens = torch.full((len(samples), longest), tokenizer.pad_token_id)
        labels = torch.full((len(samples), longest), -100)
        mask = torch.zeros((len(samples), longest), dtype=torch.long)
        for row, (a, t) in enumerate(zip(asked, told, strict=True)):
            tokens[row, : len(a) + len(t)] = torch.tensor(a + t)
            labels[row, len(a) : len(a) + len(t)] = torch.tensor(t)
            mask[row, : len(a) + len(t)] = 1
        return {"input_ids": tokens, "attention_mask": mask, "labels": labels, **self._seen(films, tokens)}

    def _seen(self, films: list[NDArray[np.uint8]], tokens: torch.Tensor) -> dict[str, Any]:
        """The pictures' part of a batch; nothing where none of its samples has any."""
        if not films:
            return {}
        seen = dict(self._processor.image_processor([Image.fromarray(film) for film in films], return_tensors="pt"))
        seen.pop("num_patches", None)
        if "image_grid_thw" in seen:
            seen["mm_token_type_ids"] = (tokens == self._processor.image_token_id).long()
        return seen

    def _expanded(self, text: str) -> str:
        one, full = self._image_token, self._image_token * VISUAL_TOKENS
        if one == "<IMG_CONTEXT>":
            full = f"<img>{full}</img>"
        return text.replace(one, full)


def loss_and_hits(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, float]:
    """Cross-entropy over the answer tokens, and the share of samples whose whole answer would come out greedily."""
    labels = batch.pop("labels")
    hidden = model.model(**batch).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    rows, columns = torch.nonzero(wanted != -100, as_tuple=True)
    logits = model.lm_head(hidden[rows, columns])
    told = wanted[rows, columns]
    wrong = torch.zeros(len(labels)).index_add_(0, rows, (logits.argmax(-1) != told).float())
    return torch.nn.functional.cross_entropy(logits, told), float((wrong == 0).float().mean())
