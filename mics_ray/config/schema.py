"""The schema of the configuration: dataclasses that Hydra fills and nobody changes afterwards.

They are not frozen because OmegaConf cannot merge a user's mapping into frozen ones (``ReadonlyConfigError``).
Units are in the names or the comments.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mics_ray.core.context import CONTEXT

MISSING: Any = "???"
"""OmegaConf's mark of a value that has to be given; without OmegaConf, which every actor would load for it."""


class Engine(Enum):
    """What serves a model."""

    vllm = "vllm"
    endpoint = "endpoint"


class StrategyKind(Enum):
    """Which policy searches."""

    mics = "mics"
    best_of_n = "best_of_n"


class Competitiveness(Enum):
    """How a mentor's scores are combined when several candidates score 1."""

    product = "product"
    sum = "sum"


@dataclass
class Price:
    """US dollars per million tokens."""

    input_per_mtok: float = 0.0
    cached_input_per_mtok: float | None = (
        None  # of input that the provider had in its prefix cache; None: as other input
    )
    output_per_mtok: float = 0.0


@dataclass
class ModelConfig:
    """One model: a mentor, the judge or an intern.

    ``engine: endpoint`` asks it behind an OpenAI-compatible API and uses the second block, ``engine: vllm`` serves it
    on machines of ours and uses the third. A limit left out means none; no ``api_key_env``, no key sent.
    """

    model: str = MISSING  # the API's name for it; for vllm a hub id, a folder, or `embedded:interns/NAME`
    engine: Engine = Engine.endpoint
    temperature: float | None = None  # None: the search preset's, which alone says an intern's
    sampling: Any = None  # {top_p, top_k, min_p, repetition_penalty}, or `model`; see `read_sampling`; None: an intern
    # takes search.intern_sampling, others say nothing
    max_tokens: int = 4096

    base_url: str | None = None  # https, http on loopback or where allow_http, or `local` for the simulated server
    allow_http: bool = False  # for a server inside the cluster
    api_key_env: str | None = None  # the NAME of an environment variable
    extra_body: dict[str, Any] = field(default_factory=dict)  # merged into the request; null removes a key
    headers: dict[str, str] = field(default_factory=dict)
    headers_env: dict[str, str] = field(default_factory=dict)  # header -> the NAME of an environment variable
    query: dict[str, str] = field(default_factory=dict)  # added to the address, such as Azure's api-version
    sees_pictures: bool = True  # False: text only
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_in_flight: int | None = None
    deadline_s: float = 300.0  # for one call, its retries included, waiting for permits not
    price: Price = field(default_factory=Price)

    revision: str | None = None
    adapter: str | None = None  # a folder with a LoRA adapter on the language model, served on top of `model`
    replicas: Any = 1  # how many serve it, or {min: a, max: b}; see `replica_range`
    tensor_parallel: int = 1  # GPUs of one node that share a stage of the model
    pipeline_parallel: int = 1  # stages, each on one node
    gpus: float | None = None  # of one GPU, for a small model; None: whole ones
    accelerator: str | None = None  # of its GPUs, by Ray's name: H100, A100, L4; None: any
    max_model_len: int | None = None
    trust_remote_code: bool = False  # only with a full commit hash as revision
    engine_kwargs: dict[str, Any] = field(default_factory=dict)  # vLLM's AsyncEngineArgs, by name
    processor_kwargs: dict[str, Any] = field(default_factory=dict)  # the model's own processor


@dataclass
class InternDefaults(ModelConfig):
    """A :class:`ModelConfig` as an intern's entry begins; OmegaConf takes defaults from a class only."""

    engine: Engine = Engine.vllm
    max_tokens: int = 2048


@dataclass(frozen=True)
class Replicas:
    """How many replicas serve a model: at least ``min``, at most ``max`` as its queue grows."""

    min: int
    max: int


def replica_range(value: Any) -> Replicas:
    """Read ``ModelConfig.replicas``. Raises :class:`ValueError` that says what is wrong, without the field's name."""
    if isinstance(value, Replicas):
        return value
    pair = value if isinstance(value, dict) else {"min": value, "max": value}
    if set(pair) != {"min", "max"} or any(type(count) is not int for count in pair.values()):
        raise ValueError("must be a whole number or {min: a, max: b}")
    if pair["min"] < 1:
        raise ValueError(f"{pair['min']} is below 1")
    if pair["max"] < pair["min"]:
        raise ValueError(f"max {pair['max']} is below min {pair['min']}")
    return Replicas(pair["min"], pair["max"])


@dataclass
class SearchConfig:
    """A preset of METHOD's table."""

    strategy: StrategyKind = StrategyKind.mics
    intern_temperatures: list[float] = field(default_factory=lambda: [0.3, 1.2])
    intern_sampling: Any = field(default_factory=lambda: {"top_p": 0.9})  # where an intern's entry says none
    mentor_temperature: float = 1.2
    judge_temperature: float = 0.0
    max_rounds: int = 4
    first_steps: int = 1  # steps of a candidate in round one
    competitiveness: Competitiveness = Competitiveness.product
    restarts: int = 1  # searches after a dead end or a failed one
    quality_control: bool = True  # False: every kept chain is graded `keep`
    adaptive: bool = False  # votes that cannot change the choice are not asked for
    match_gold: bool = False  # an answer that is the gold answer word for word is right without asking the judge


@dataclass
class DataConfig:
    """The cases: JSONL, JSON (either gzipped) or Parquet, picture paths relative to ``image_root``.

    ``cases`` is a file, a folder, a pattern or a list of these; ``image_root`` by default the folder that holds them.
    """

    cases: Any = MISSING
    image_root: str | None = None
    strict: bool = False  # refuse the run where a record would be rejected
    context: Any = field(default_factory=lambda: [*CONTEXT])  # notes that interns are told too; `none`: mentors alone


@dataclass
class PicturesConfig:
    """How pictures are shown. The sides: pixels that the longer one is scaled down to; the judge sees no picture."""

    mentor_max_side: int = 512
    intern_max_side: int = 2048
    window: str = "auto"  # of DICOM and NIfTI: auto, CENTER/WIDTH (40/400) or file:N (the file's N-th)
    frames: Any = "auto"  # of a file of several whose path names none: auto, 42 or 10-40:5


@dataclass
class PromptsConfig:
    """The wording of every call; see ``conf/prompts/default.yaml`` for the fields of each."""

    mentor_system: str = MISSING
    mentor: str = MISSING
    intern: str = MISSING
    judge: str = MISSING
    intern_without_pictures: str = ""  # of a case that has none; "": as `intern`
    judge_leak: str = ""  # where leaks.judge


@dataclass
class LeaksConfig:
    """Steps that give the gold answer away: words are always looked at."""

    judge: bool = False  # asks the judge, too, about each step that training may use: paraphrases, translations


@dataclass
class RunConfig:
    """Where the results go."""

    dir: str = MISSING


@dataclass
class CacheConfig:
    """The paid replies of a run, in ``run.dir/cache``."""

    max_gb: float | None = None  # 10^9 bytes; then no further call is paid and the run ends (74); nothing is dropped


@dataclass
class RayConfig:
    """The cluster: ``address: null`` starts one on this machine, ``auto`` joins the one that is there."""

    address: str | None = None
    workers: int | None = None  # search workers; None: one per two cores, at most 8


@dataclass
class Config:
    """A generation job."""

    mentors: dict[str, ModelConfig] = MISSING
    interns: dict[str, InternDefaults] = MISSING
    judge: ModelConfig = MISSING
    search: SearchConfig = field(default_factory=SearchConfig)
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)
    data: DataConfig = field(default_factory=DataConfig)
    leaks: LeaksConfig = field(default_factory=LeaksConfig)
    run: RunConfig = field(default_factory=RunConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    seed: int = 0
    window: int = 64  # open searches at a time, over all workers
    budget_usd: float | None = None  # hard cap on what this run folder may spend, earlier sessions included
    retry_failed: bool = False  # search the cases again whose rows are `failed`, and replace the rows
    preflight: bool = False  # check and estimate, then stop
    replay: bool = False  # search again on the replies that the run in `run.dir` recorded
