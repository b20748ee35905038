"""What a configuration is refused for, before anything is started: every problem at once, one line each."""

from collections.abc import Sequence

from mics_ray.assemble.entry_checks import find_entry_problems, find_ignored_fields
from mics_ray.assemble.locations import JUDGE, list_endpoints, locate_cases, locate_images
from mics_ray.config.context import read_context
from mics_ray.config.keys import list_key_names
from mics_ray.config.sampling import OF_MODEL, read_sampling
from mics_ray.config.schema import Config, Engine, ModelConfig, PicturesConfig, Price, StrategyKind, replica_range
from mics_ray.errors import RefusedRun
from mics_ray.io.input_files import InputError, find_input_files
from mics_ray.models.engine.adapter import find_served_rank
from mics_ray.models.engine.arguments import find_argument_problems
from mics_ray.models.pictures.windows import read_view
from mics_ray.models.prompts import check_templates

ENGINE_FIELDS = (
    "revision", "adapter", "replicas", "tensor_parallel", "pipeline_parallel", "gpus", "max_model_len",
    "trust_remote_code", "engine_kwargs", "processor_kwargs",
)  # fmt: skip
"""Fields of a model that only ``engine: vllm`` reads."""


def check_job(config: Config) -> None:
    """Refuse what cannot work, before anything is started. Raises :class:`RefusedRun` with every problem found."""
    problems = [
        *_check_input(config),
        *_check_panel(config),
        *find_model_problems(config),
        *find_budget_problems(config),
    ]
    if problems:
        raise RefusedRun("\n".join(problems))


def check_replay(config: Config) -> None:
    """:func:`check_job` for a search on recorded replies: nobody is reached, so no key and no weights are asked for."""
    problems = [
        *_check_input(config), *_check_panel(config), *find_size_problems(config), *check_templates(config.prompts),
        *_check_leak_judge(config),
    ]  # fmt: skip
    if problems:
        raise RefusedRun("\n".join(problems))


def find_model_problems(config: Config) -> list[str]:
    """What is wrong with the prompts, the models and how many there are of anything, one line each."""
    problems = [*find_size_problems(config), *check_templates(config.prompts), *_check_leak_judge(config)]
    if config.cache.max_gb is not None and config.cache.max_gb <= 0:
        problems.append(f"cache.max_gb: {config.cache.max_gb:g} is not above 0")
    for name, entry in list_endpoints(config).items():
        problems += find_entry_problems(name, entry)
    for label, entry in _label_served(config).items():
        problems += [f"{label}: {problem}" for problem in _check_served(entry)]
    return problems


def find_budget_problems(config: Config) -> list[str]:
    """What is wrong with the cap on money: a model behind a key without a price would not count."""
    if config.budget_usd is None:
        return []
    problems = [] if config.budget_usd > 0 else [f"budget_usd: {config.budget_usd:g} is not above 0"]
    # A server without a key (our own, the simulated one) may well be free; behind a key somebody pays.
    free = [
        name for name, entry in list_endpoints(config).items() if list_key_names(entry) and not _has_price(entry.price)
    ]
    return problems + [f"{name}.price: not given, so budget_usd cannot count its calls" for name in free]


def _check_leak_judge(config: Config) -> list[str]:
    """A leak judge needs a question to ask."""
    if config.leaks.judge and not config.prompts.judge_leak.strip():
        return ["prompts.judge_leak: leaks.judge=true needs it; conf/prompts/default.yaml has one"]
    return []


def _has_price(price: Price) -> bool:
    return any((price.input_per_mtok, price.cached_input_per_mtok, price.output_per_mtok))


def find_size_problems(config: Config) -> list[str]:
    """What is wrong with how many there are of anything, one line each."""
    sizes = [f"{label}.{problem}" for label, entry in _label_sized(config).items() for problem in _check_size(entry)]
    roles = [*_check_names(config), *_check_roles(config), *find_ignored_fields(config)]
    return [
        *roles,
        *_check_numbers(config),
        *_check_sampling(config),
        *_check_context(config),
        *check_view(config.pictures),
        *sizes,
    ]


def _label_models(config: Config) -> dict[str, ModelConfig]:
    """Every model by where the configuration holds it."""
    mentors = {f"mentors.{name}": entry for name, entry in config.mentors.items()}
    return mentors | {JUDGE: config.judge} | {f"interns.{name}": entry for name, entry in config.interns.items()}


def _label_served(config: Config) -> dict[str, ModelConfig]:
    return {label: entry for label, entry in _label_models(config).items() if entry.engine is Engine.vllm}


def _label_sized(config: Config) -> dict[str, ModelConfig]:
    """The interns, of either engine, and whatever else is served here."""
    return {f"interns.{name}": intern for name, intern in config.interns.items()} | _label_served(config)


def _check_input(config: Config) -> list[str]:
    try:
        find_input_files(locate_cases(config))
        images = locate_images(config)
    except InputError as error:
        return [str(error)]
    return [] if isinstance(images, str) or images.is_dir() else [f"data.image_root: no such folder: {images}"]


def _check_panel(config: Config) -> list[str]:
    # MICS continues a candidate with the other mentors' help, so one mentor alone has nobody to compete with.
    needed = 1 if config.search.strategy is StrategyKind.best_of_n else 2
    problems = []
    if len(config.mentors) < needed:
        problems.append(f"mentors: {len(config.mentors)} given, the search needs at least {needed}")
    if not config.interns:
        problems.append("interns: none given, the search needs at least one")
    if not config.search.intern_temperatures:
        problems.append("search.intern_temperatures: at least one is needed")
    return problems


def _check_names(config: Config) -> list[str]:
    """Entries of one name: requests, replicas and accounts are told apart by it, whatever the role."""
    names = [*config.mentors, *config.interns, JUDGE]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"{name!r} names two models; give each its own name" for name in twice]


def _check_roles(config: Config) -> list[str]:
    """Fields that a model's role or engine would leave without effect, one line each."""
    problems = []
    for label, entry in _label_models(config).items():
        if entry.engine is Engine.endpoint and not label.startswith("interns."):
            changed = _list_changed(entry, ENGINE_FIELDS)
            problems += [f"{label}.{field}: goes only with engine=vllm" for field in changed]
    for name, intern in config.interns.items():
        if intern.temperature is not None:
            problems.append(
                f"interns.{name}.temperature: not for an intern, whose votes take search.intern_temperatures "
                "(a model that is evaluated: eval.temperature)"
            )
    return problems


def _list_changed(entry: ModelConfig, names: Sequence[str]) -> list[str]:
    """The fields among ``names`` that do not hold their default."""
    plain = ModelConfig()  # a value given as the default is as good as not given
    return [name for name in names if getattr(entry, name) != getattr(plain, name)]


def _check_numbers(config: Config) -> list[str]:
    least = {
        "window": (config.window, 1), "search.max_rounds": (config.search.max_rounds, 1),
        "search.first_steps": (config.search.first_steps, 1), "search.restarts": (config.search.restarts, 0),
        "pictures.mentor_max_side": (config.pictures.mentor_max_side, 1),
        "pictures.intern_max_side": (config.pictures.intern_max_side, 1),
        "ray.workers": (1 if config.ray.workers is None else config.ray.workers, 1),
    }  # fmt: skip
    for label, entry in _label_sized(config).items():
        for field in ("tensor_parallel", "pipeline_parallel", "max_tokens"):
            least[f"{label}.{field}"] = (getattr(entry, field), 1)
    return [f"{name}: {value} is below {low}" for name, (value, low) in least.items() if value < low]


def check_view(pictures: PicturesConfig) -> list[str]:
    """What is wrong with ``pictures.window`` and ``pictures.frames``."""
    try:
        read_view(pictures)
    except ValueError as error:
        return [f"pictures.{error}"]
    return []


def _check_context(config: Config) -> list[str]:
    try:
        read_context(config.data.context)
    except ValueError as error:
        return [f"data.context: {error}"]
    return []


def _check_sampling(config: Config) -> list[str]:
    """What is wrong with how tokens are drawn."""
    given = {f"{label}.sampling": entry.sampling for label, entry in _label_models(config).items()}
    problems = []
    for field, value in (given | {"search.intern_sampling": config.search.intern_sampling}).items():
        try:
            read_sampling(value)
        except ValueError as error:
            problems.append(f"{field}: {error}")
    for label, entry in _label_served(config).items():
        if entry.sampling == OF_MODEL and entry.engine_kwargs.get("generation_config") == "vllm":
            problems.append(f"{label}.sampling: {OF_MODEL}, but engine_kwargs.generation_config=vllm leaves that out")
    return problems


def _check_size(entry: ModelConfig) -> list[str]:
    """What is wrong with the number of an entry's replicas and their share of GPUs."""
    problems = []
    try:
        replica_range(entry.replicas)
    except ValueError as error:
        problems.append(f"replicas: {error}")
    if entry.gpus is not None:
        if not 0 < entry.gpus <= 1:
            problems.append(f"gpus: {entry.gpus:g} is not a share of one GPU (above 0, at most 1)")
        if (entry.tensor_parallel, entry.pipeline_parallel) != (1, 1):
            problems.append("gpus: a share goes only with tensor_parallel 1 and pipeline_parallel 1")
    return problems


def _check_served(entry: ModelConfig) -> list[str]:
    """What is wrong with a model of ours: names that vLLM does not take, code that is not pinned, no adapter."""
    problems = find_argument_problems(entry)
    if entry.trust_remote_code and not _is_full_commit(entry.revision):
        problems.append("trust_remote_code needs `revision`, a full commit hash of 40 hex digits")
    if entry.adapter is not None:
        try:
            find_served_rank(entry.adapter)
        except ValueError as error:
            problems.append(f"adapter: {error}")
    return problems


def _is_full_commit(revision: str | None) -> bool:
    return revision is not None and len(revision) == 40 and all(c in "0123456789abcdef" for c in revision)
