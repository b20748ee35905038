"""Batches for training the tiny interns: exercises and varied phantoms as tensors, and the loss on one batch."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantom_drawing import draw_phantom
from mics_ray.local.training.intern_measure import prompt_text
from mics_ray.local.training.intern_models import SIDE, VISUAL_TOKENS
from mics_ray.local.training.intern_texts import (
    LANGUAGE,
    Sample,
    random_sample,
    sample_description,
    sample_short_writing,
    sample_writing,
)

MOST_CHARACTERS = 30_000  # of a batch, padding counted in
OTHER_PICTURES = (0.02, 0.92, 0.06)  # how often an exercise shows no, one or two pictures; in LANGUAGE always one
FAINT_SHARE = 0.6  # of the films that are described and written about


class Pool:
    """Phantoms to train on, slightly shifted, brightened and roughened each time they are shown.

    Interns learn to answer from clear films alone: faint ones only slow them down, and shall stay hard for them.
    ``faint`` ones are for what is said of films beside answers.
    """

    def __init__(self, size: int, seed: int, faint: bool) -> None:
        self._clear = self._draw_films(size, seed, 0.0)
        self._faint = self._draw_films(size, seed + 1, 1.0) if faint else self._clear

    @staticmethod
    def _draw_films(size: int, seed: int, faint_share: float) -> NDArray[np.uint8]:
        # Findings in turn, so that a film of a given finding is found by its index alone.
        films = [draw_phantom(k % len(FINDINGS), np.random.default_rng([seed, k]), faint_share) for k in range(size)]
        return np.stack([np.asarray(film) for film in films])

    def vary_film(self, finding: int, rng: np.random.Generator, faint: bool = False) -> NDArray[np.uint8]:
        """One 56 x 56 film that shows ``finding``."""
        films = self._faint if faint else self._clear
        place = int(rng.integers(len(films) // len(FINDINGS))) * len(FINDINGS) + finding
        # Up to two pixels either way, which the padding of two leaves room for.
        rows, columns = rng.integers(0, 5, 2)
        shifted = np.pad(films[place], 2, mode="edge")[rows : rows + SIDE, columns : columns + SIDE]
        grey = shifted * rng.uniform(0.9, 1.1) + rng.normal(0, 6) + rng.normal(0, 3, shifted.shape)
        return np.clip(grey, 0, 255).astype(np.uint8)


class Exercises:
    """Turns samples into batches as the real processor would, without its cost per sample.

    Each lesson is a method that gives its next batch; ``done`` is the part of the lesson that is over, 0 to 1.
    """

    def __init__(self, pool: Pool, processor: Any, template: str, batch: int, seed: int, picture_share: float) -> None:
        self._pool, self._processor, self._template, self._size = pool, processor, template, batch
        self._picture_share = picture_share
        self._rng = np.random.default_rng(seed)
        self._image_token = processor.image_token
        self._turn = 0
        self._waiting: Iterator[dict[str, Any]] = iter(())

    def answering(self, done: float) -> dict[str, Any]:
        """Pictures with their answers at first, then full prompts."""
        return self._batch_answers() if done < self._picture_share else self._next_full_batch()

    def describing(self, done: float) -> dict[str, Any]:
        """Films with their descriptions, faint ones after a third; one batch in four is answers, to be kept."""
        self._turn += 1
        faint_share = FAINT_SHARE if done > 1 / 3 else 0.0
        return (
            self._batch_answers()
            if self._turn % 4 == 0
            else self._batch_spoken(sample_description, 2 * self._size, faint_share)
        )

    def writing(self, done: float) -> dict[str, Any]:
        """Chains in every second batch; the others keep what was learnt before."""
        self._turn += 1
        match self._turn % 8:
            case 0 | 4:
                return self._batch_spoken(sample_writing, self._size)
            case 2 | 6:
                return self._batch_spoken(sample_short_writing, 2 * self._size)
            case 1:
                return self._batch_spoken(sample_description, 2 * self._size)
            case 5:
                return self._batch_answers()
            case _:
                return self._next_full_batch()

    def _batch_answers(self) -> dict[str, Any]:
        """A batch of twice the size: a picture, no words, the answer."""
        findings = self._draw_findings(2 * self._size)
        return self.make_batch([Sample("", finding, finding, "none") for finding in findings])

    def _batch_spoken(
        self, exercise: Callable[[int, random.Random], Sample], size: int, faint_share: float = FAINT_SHARE
    ) -> dict[str, Any]:
        """A batch of one exercise in ``LANGUAGE``."""
        rng = random.Random(int(self._rng.integers(1 << 40)))
        return self.make_batch([exercise(finding, rng) for finding in self._draw_findings(size)], faint_share)

    def _draw_findings(self, size: int) -> list[int]:
        found: list[int] = self._rng.integers(len(FINDINGS), size=size).tolist()
        return found

    def _next_full_batch(self) -> dict[str, Any]:
        """The next batch of full prompts."""
        batch = next(self._waiting, None)
        while batch is None:
            self._waiting = self._make_eight_batches()
            batch = next(self._waiting, None)
        return batch

    def _make_eight_batches(self) -> Iterator[dict[str, Any]]:
        """Eight batches' worth of full prompts; each holds prompts of similar length, fewer where they are long."""
        seeds = self._rng.integers(1 << 40, size=8 * self._size)
        # Neighbours in length waste little padding; the order of the batches is drawn again below.
        samples = sorted(
            (random_sample(self._template, int(seed)) for seed in seeds), key=lambda item: len(item.prompt)
        )
        groups: list[list[Sample]] = [[]]
        for item in samples:
            if len(groups[-1]) == self._size or (len(groups[-1]) + 1) * len(item.prompt) > MOST_CHARACTERS:
                groups.append([])
            groups[-1].append(item)
        for index in self._rng.permutation(len(groups)):
            yield self.make_batch(groups[index])

    def make_batch(self, samples: list[Sample], faint_share: float = FAINT_SHARE) -> dict[str, Any]:
        """Right-padded tokens; labels, -100 but for the completion and its end token.

        ``faint_share`` is that of the samples in ``LANGUAGE``; answers are learnt from clear films alone.
        """
        tokenizer = self._processor.tokenizer
        prompts, films = [], []
        for item in samples:
            spoken = item.kind in LANGUAGE
            drawn = 1 if spoken else int(self._rng.choice((0, 1, 2), p=OTHER_PICTURES))
            pictures = drawn if item.pictures is None else item.pictures
            faint = spoken and self._rng.random() < faint_share
            films += [self._pool.vary_film(item.drawn, self._rng, faint) for _ in range(pictures)]
            prompts.append(self._expand_image_tokens(prompt_text(self._processor, item.prompt, pictures, item.system)))
        asked = tokenizer(prompts)["input_ids"]
        told = tokenizer([item.target + tokenizer.eos_token for item in samples])["input_ids"]
        longest = max(len(a) + len(t) for a, t in zip(asked, told, strict=True))
        tokens = torch.full((len(samples), longest), tokenizer.pad_token_id)
        labels = torch.full((len(samples), longest), -100)  # -100: the index that cross-entropy leaves out
        mask = torch.zeros((len(samples), longest), dtype=torch.long)
        for row, (a, t) in enumerate(zip(asked, told, strict=True)):
            tokens[row, : len(a) + len(t)] = torch.tensor(a + t)
            labels[row, len(a) : len(a) + len(t)] = torch.tensor(t)
            mask[row, : len(a) + len(t)] = 1
        return {"input_ids": tokens, "attention_mask": mask, "labels": labels, **self._encode_films(films, tokens)}

    def _encode_films(self, films: list[NDArray[np.uint8]], tokens: torch.Tensor) -> dict[str, Any]:
        """The pictures' part of a batch; nothing where none of its samples has any."""
        if not films:
            return {}
        seen = dict(self._processor.image_processor([Image.fromarray(film) for film in films], return_tensors="pt"))
        # For the processor's own use; the model's forward does not take it.
        seen.pop("num_patches", None)
        if "image_grid_thw" in seen:
            seen["mm_token_type_ids"] = (tokens == self._processor.image_token_id).long()
        return seen

    def _expand_image_tokens(self, text: str) -> str:
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
    # Only where there is a label: logits of whole prompts would cost most of the time of a step.
    logits = model.lm_head(hidden[rows, columns])
    told = wanted[rows, columns]
    wrong = torch.zeros(len(labels)).index_add_(0, rows, (logits.argmax(-1) != told).float())
    return torch.nn.functional.cross_entropy(logits, told), float((wrong == 0).float().mean())
