"""What one training process does: batches in, LoRA steps, checkpoints, weights at the end."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.train.collective import broadcast_from_rank_zero
from transformers import get_cosine_schedule_with_warmup

from mics_ray.errors import RefusedRun
from train.backends.peft.checkpoints import FOLDER, list_checkpoints, load_checkpoint, save_checkpoint
from train.backends.peft.data import EncodedRecords, Encoder, collate_samples
from train.backends.peft.model import AnswerLoss, learnt_tokens, load_model, load_processor, local_folder, save_weights
from train.backends.peft.order import SampleOrder
from train.backends.peft.records import Records
from train.backends.peft.training_log import TrainingLog
from train.config import TrainConfig
from train.stages import DataSet

MAX_NORM = 1.0
"""Gradients are clipped to this norm, as upstream's trainer does."""
LOADERS = 4
"""Processes that read pictures for one GPU; on a CPU the training process reads them itself."""
STOP = "stop"
"""A file of this name in the stage's folder asks for a checkpoint and an end."""

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage's training. ``model`` is a folder, an embedded model or a hub id; all paths absolute."""

    train: TrainConfig
    entries: tuple[DataSet, ...]
    model: str
    folder: Path
    steps: int
    seed: int

    @property
    def accumulation(self) -> int:
        """Micro-batches of one worker in a step."""
        return self.train.batch_size // (self.train.batch_per_device * self.train.workers)


def training_loop(config: dict[str, Any]) -> None:
    """Train ``config["plan"]`` from the last checkpoint on; runs in a worker of Ray Train."""
    plan: StagePlan = config["plan"]
    # Ray starts workers itself, so they do not inherit the driver's umask.
    os.umask(0o077)
    _use_cores()
    TrainingWorker(plan).run_steps()


def _use_cores() -> None:
    """On CPUs the workers of one machine share its cores; Ray alone would give each a single thread."""
    if ray.train.torch.get_device().type == "cpu":
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(max(1, cores // ray.train.get_context().get_local_world_size()))


class TrainingWorker:
    """One process of a training."""

    def __init__(self, plan: StagePlan) -> None:
        self._plan, self._train = plan, plan.train
        context = ray.train.get_context()
        self._rank, self._workers = context.get_world_rank(), context.get_world_size()
        self._device = ray.train.torch.get_device()
        self._base = local_folder(plan.model, self._train.revision)
        torch.manual_seed(plan.seed)
        self._model = load_model(self._base, self._train)
        self._loss = ray.train.torch.prepare_model(AnswerLoss(self._model))
        self._learnt = [weight for weight in self._model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._learnt, lr=self._train.learning_rate, weight_decay=self._train.weight_decay
        )
        # Rounded up, as transformers' own trainer does.
        warm_up = -(-self._train.warmup_ratio * plan.steps // 1)
        self._schedule = get_cosine_schedule_with_warmup(self._optimizer, int(warm_up), plan.steps)

    def run_steps(self) -> None:
        """All steps that are left, then the weights on disk."""
        done = self._restore_state()
        records = Records(self._plan.entries)
        order = SampleOrder(records.sizes, self._train.batch_size, self._plan.steps, self._plan.seed)
        batches = iter(self._iter_batches(records, order, done))
        epochs = self._train.batch_size / len(records)
        self._model.train()
        with TrainingLog(self._plan.folder, done, self._rank == 0) as log:
            for step in range(done + 1, self._plan.steps + 1):
                began = time.perf_counter()
                rate = self._schedule.get_last_lr()[0]
                loss, stop = self._train_step(step, [next(batches) for _ in range(self._plan.accumulation)])
                if step % self._train.log_steps == 0 or step == self._plan.steps:
                    log.log_step(step, step * epochs, loss, rate, time.perf_counter() - began)
                if step % self._train.save_steps == 0 or step == self._plan.steps or stop:
                    self._save_state(step, loss)
                if stop:
                    return
        if self._rank == 0:
            save_weights(self._model, self._base, self._plan.folder)

    def _iter_batches(self, records: Records, order: SampleOrder, done: int) -> Iterator[Batch]:
        """This worker's micro-batches from step ``done + 1`` on."""
        processor = load_processor(self._base)
        encoder = Encoder(processor, self._train.max_tiles, self._train.max_seq_length)
        on_gpu = self._device.type == "cuda"
        return iter(
            torch.utils.data.DataLoader(
                EncodedRecords(records, encoder),
                batch_sampler=order.iter_micro_batches(done, self._rank, self._workers, self._train.batch_per_device),
                collate_fn=partial(collate_samples, pad=processor.tokenizer.pad_token_id),
                num_workers=LOADERS if on_gpu else 0,
                pin_memory=on_gpu,
            )
        )

    def _train_step(self, step: int, batches: list[Batch]) -> tuple[float, bool]:
        """One optimizer step; the mean loss over the learnt tokens of all workers, and whether a stop is asked for."""
        # Dropout depends on seed, step and rank alone, so a resumed training is the unbroken one.
        torch.manual_seed(hash((self._plan.seed, step, self._rank)) % 2**63)  # of numbers: no salt per process
        asked = self._rank == 0 and (self._plan.folder / STOP).exists()
        tokens, stop = self._sum_over_workers(float(sum(learnt_tokens(batch) for batch in batches)), float(asked))
        total = 0.0
        for number, batch in enumerate(batches, 1):
            with self._defer_gradient_sync(number < len(batches)):
                loss = self._compute_loss(batch)
                # DDP averages gradients over the workers; the mean wanted is over the tokens of all of them.
                torch.autograd.backward(loss * (self._workers / max(tokens, 1.0)))
            total += loss.item()
        (total,) = self._sum_over_workers(total)
        self._refuse_unless_finite(step, total)
        torch.nn.utils.clip_grad_norm_(self._learnt, MAX_NORM)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total / max(tokens, 1.0), stop > 0

    def _compute_loss(self, batch: Batch) -> torch.Tensor:
        dtype = getattr(torch, self._train.dtype)
        moved = {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.items()}
        if "pixel_values" in moved:
            moved["pixel_values"] = moved["pixel_values"].to(dtype)
        with torch.autocast(self._device.type, dtype, enabled=dtype is not torch.float32):
            loss: torch.Tensor = self._loss(**moved)
        return loss

    def _defer_gradient_sync(self, more: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients are exchanged once a step, with its last micro-batch."""
        if more and isinstance(self._loss, torch.nn.parallel.DistributedDataParallel):
            held: contextlib.AbstractContextManager[None] = self._loss.no_sync()
            return held
        return contextlib.nullcontext()

    def _sum_over_workers(self, *values: float) -> list[float]:
        """Each value summed over the workers."""
        if self._workers == 1:
            return list(values)
        # float32 counts tokens exactly up to 2**24 only.
        summed = torch.tensor(values, dtype=torch.float64, device=self._device)
        torch.distributed.all_reduce(summed)
        return [float(value) for value in summed]

    def _refuse_unless_finite(self, step: int, total: float) -> None:
        if not torch.isfinite(torch.tensor(total)):
            raise RefusedRun(f"step {step}: the loss is {total}; lower train.learning_rate or use train.dtype=float32")

    def _save_state(self, step: int, loss: float) -> None:
        """Write a checkpoint and tell Ray Train how far the training is."""
        if self._rank == 0:
            names = {name for name, weight in self._model.named_parameters() if weight.requires_grad}
            state = {
                "step": step,
                "adapter": {name: value for name, value in self._model.state_dict().items() if name in names},
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
            }
            save_checkpoint(self._plan.folder / FOLDER, step, state)
        # In every worker, not in rank 0 alone: Ray Train waits here for all of them.
        ray.train.report({"step": step, "loss": loss})

    def _restore_state(self) -> int:
        """Load the last checkpoint, the same one in every worker; returns the steps that are done."""
        found = list_checkpoints(self._plan.folder / FOLDER)
        path: Path | None = broadcast_from_rank_zero(found[-1] if found else None)
        if path is None:
            return 0
        state = load_checkpoint(path)
        # Not strict: a checkpoint holds the adapter alone, the base has its own files.
        self._model.load_state_dict(state["adapter"], strict=False)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        return int(state["step"])
