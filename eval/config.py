"""The schemas of evaluating and asking a model: dataclasses that Hydra fills and nobody changes afterwards."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from mics_ray.config.schema import InternDefaults, ModelConfig, PicturesConfig, PromptsConfig, RayConfig, SearchConfig
from mics_ray.core.context import CONTEXT


@dataclass
class PaperSet:
    """The questions that a figure of the paper counts: a split, of it one kind or one topic, and how many they are."""

    split: str = MISSING
    items: int = MISSING
    kind: str | None = None  # a value of eval.types.Kind; None: all
    topic: str | None = None
    note: str = ""  # what is not certain about it


@dataclass
class BenchmarkConfig:
    """One benchmark: where it lies and what is known of it. ``reader`` is a key of ``eval.benchmarks.READERS``."""

    reader: str = MISSING
    hub: str | None = None  # data set id on the hub; None: local only
    revision: str | None = None
    config: list[str] = field(default_factory=list)  # configurations (subjects) to read, one after the other
    split: str = "test"  # the files of records are SPLIT.EXT or SPLIT-*.EXT
    sets: list[str] = field(default_factory=list)  # the splits that eval.set may choose
    folder: str | None = None  # under eval.root; None: the benchmark's name
    as_written: bool = False  # ask the question with its <image>, each picture at its place (reader `chiron`)
    in_domain: bool = False  # the paper's training mix holds its training split
    paper: dict[str, float] = field(default_factory=dict)  # MODEL -> accuracy in %, Chiron-o1 paper
    paper_set: PaperSet | None = None  # the questions of these figures; they stand beside no others


@dataclass
class EvalConfig:
    """Where items come from and where answers go."""

    dir: str = MISSING
    root: str | None = None  # a folder with one folder per benchmark; None: the hub
    set: str | None = None  # the split of the benchmarks that have it among their sets; None: each one's own
    limit: int | None = None  # items per benchmark, a seeded sample; None: all
    benchmarks: dict[str, BenchmarkConfig] = MISSING
    context: Any = field(default_factory=lambda: [*CONTEXT])  # as data.context, for items that are cases
    temperature: float = 0.0
    bert_score_model: str | None = None  # a folder or hub id; None: no BERTScore
    bert_score_layers: int | None = None
    mics_score: bool = False  # also let `interns` finish from the steps of the model's own chains


@dataclass
class EvaluateJob:
    """An evaluation of one model. ``model`` is a hub id, a folder, or `embedded:interns/NAME`."""

    model: str = MISSING
    serve: InternDefaults = field(default_factory=InternDefaults)
    judge: ModelConfig = MISSING
    interns: dict[str, InternDefaults] = field(default_factory=dict)
    search: SearchConfig = field(default_factory=SearchConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    seed: int = 0
    window: int = 64  # open items at a time


@dataclass
class InferJob:
    """One question to one model."""

    model: str = MISSING
    question: str = MISSING
    images: Any = field(default_factory=list)  # paths
    serve: InternDefaults = field(default_factory=InternDefaults)
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)
    temperature: float = 0.0
    sampling: Any = None  # {top_p, top_k, min_p, repetition_penalty}, or `model`; None: none of these
    seed: int = 0
