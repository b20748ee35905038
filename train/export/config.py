"""The schema of an export job: dataclasses that Hydra fills and nobody changes afterwards."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.types import KEPT_OUTCOMES

CHAINS = "chains"
"""The name of this export's own chains among the data sets of a stage."""


class ImageMode(Enum):
    """What becomes of pictures: all copied, or those left where they are that the trainer reads right."""

    copy = "copy"
    reference = "reference"


class LeakFilter(Enum):
    """Which chains are left out for a leak: any with one, those whose scored steps have one, or none."""

    drop = "drop"
    scored = "scored"
    keep = "keep"


class ReviewFilter(Enum):
    """Which chains are kept for what people say of them (``mics review``): any, or those that they accept."""

    any = "any"
    accepted = "accepted"


@dataclass
class RunFolders:
    """The runs to export: one folder, or a list of them."""

    dir: Any = MISSING


@dataclass
class SelectionConfig:
    """Which rows become samples; everything else is counted in the report, by reason."""

    outcomes: list[str] = field(default_factory=lambda: [outcome.value for outcome in KEPT_OUTCOMES])
    quality: list[str] = field(default_factory=lambda: ["keep"])
    min_score: float = 0.0  # of the last chosen step, in [0, 1]
    min_rounds: int = 1
    max_rounds: int | None = None
    mentors: list[str] | None = None  # only chains whose chosen steps all come from these
    leaks: LeakFilter = LeakFilter.scored  # closing steps, which no intern was scored on, may name the diagnosis
    review: ReviewFilter = ReviewFilter.any  # accepted: by one reviewer at least, rejected by none
    pair_margin: int = 2  # of 6 votes: what the better step of a pair is ahead by, whatever lost votes would have been
    step_right: float = 0.5  # the score from which a step is right in the stepwise rewards, in [0, 1]
    deduplicate: bool = True  # by question and pictures; of equals the higher score stays


@dataclass
class LengthConfig:
    """What a sample may take in InternVL's trainer."""

    tokenizer: str | None = None  # folder, hub id, or `embedded:interns/NAME`; None: a bound, one token per UTF-8 byte
    max_seq_length: int = 8192
    image_size: int = 448
    max_tiles: int = 6  # InternVL's max_dynamic_patch
    tokens_per_tile: int = 256


@dataclass
class DataSetConfig:
    """One data set of a stage: ``chains`` for this export's own, or an InternVL annotation file (JSONL)."""

    path: str | None = None  # None: left out, which the report says
    root: str | None = None  # of its picture paths; None: the file's folder
    repeats: float = 1.0  # a whole number of passes, or a share below 1, of which a seeded sample is written


@dataclass
class StageConfig:
    """The data sets of one stage of the curriculum, by name."""

    sets: dict[str, DataSetConfig] = field(default_factory=dict)


@dataclass
class ExportConfig:
    """Where the export goes and what is in it."""

    dir: str = MISSING
    images: ImageMode = ImageMode.copy
    validation_share: float = 0.05
    patient_pattern: str = "(.*)"  # a regular expression; its first group, found in the case id, is the patient
    license: str = "unknown"  # goes into the data card


@dataclass
class ExportJob:
    """An export job."""

    run: RunFolders = field(default_factory=RunFolders)
    export: ExportConfig = field(default_factory=ExportConfig)
    select: SelectionConfig = field(default_factory=SelectionConfig)
    length: LengthConfig = field(default_factory=LengthConfig)
    stages: dict[str, StageConfig] = MISSING
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    image_root: str | None = None  # None: the runs' own
    seed: int = 0
