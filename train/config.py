"""The schema of a training job: dataclasses that Hydra fills and nobody changes afterwards."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING

from mics_ray.config.schema import RayConfig


class Backend(Enum):
    """Who trains."""

    internvl = "internvl"
    peft = "peft"


@dataclass
class LoraConfig:
    """Low-rank adapters on the language model's q, k, v, o, gate, up and down projections."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05


@dataclass
class UpstreamConfig:
    """Where InternVL's own trainer lives; used by the backend ``internvl`` only."""

    checkout: str | None = None  # a clone of OpenGVLab/InternVL
    python: str | None = None  # the interpreter of the trainer's own environment
    nodes: int = 1
    gpus_per_node: int = 8


@dataclass
class TrainConfig:
    """One recipe; METHOD's table by default. ``batch_size`` is over all processes and accumulation steps."""

    backend: Backend = MISSING
    model: str = MISSING  # hub id, folder, or `embedded:interns/NAME`
    revision: str | None = None
    dir: str = MISSING  # checkpoints, logs, curves and the final weights
    lora: LoraConfig = field(default_factory=LoraConfig)
    learning_rate: float = 4e-5
    warmup_ratio: float = 0.03
    weight_decay: float = 0.01
    batch_size: int = 16
    batch_per_device: int = 4
    epochs: float = 1.0
    max_steps: int | None = None  # stop earlier; None: all epochs
    max_seq_length: int = 8192
    image_size: int = 448
    max_tiles: int = 6
    dtype: str = "bfloat16"
    gradient_checkpointing: bool = True
    save_steps: int = 200
    log_steps: int = 1
    workers: int = 1  # training processes of the backend `peft`
    use_gpu: bool = True
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    dry_run: bool = False  # print what would be started, and start nothing


@dataclass
class ExportSource:
    """The export to train on: a folder that ``scripts/export.py`` wrote, and which of its stages."""

    dir: str = MISSING
    stages: list[str] | None = None  # None: every stage of the export, in order


@dataclass
class TrainJob:
    """A training job: the stages of an export, one after the other."""

    train: TrainConfig = MISSING
    export: ExportSource = field(default_factory=ExportSource)
    ray: RayConfig = field(default_factory=RayConfig)
    seed: int = 0
