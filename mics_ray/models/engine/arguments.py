"""The names in ``engine_kwargs`` and ``processor_kwargs``, held against a list of what vLLM takes, without vLLM."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from mics_ray.config.schema import ModelConfig
from mics_ray.models.engine.vllm_names import ENGINE, FAMILIES, PROCESSOR

OWN_FIELDS = {
    "model": "model",
    "revision": "revision",
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "max_model_len": "max_model_len",
    "trust_remote_code": "trust_remote_code",
    "mm_processor_kwargs": "processor_kwargs",
    "load_format": "",
    "enable_lora": "adapter",
    "max_lora_rank": "adapter",
    "hf_token": "",
    "enable_log_requests": "",
}
"""Arguments of vLLM that ``engine_kwargs`` cannot set, and the field of an entry that does ("": none)."""
MODALITIES = ("image", "video", "audio")


def find_argument_problems(entry: ModelConfig) -> list[str]:
    """What is wrong with the names of an entry's ``engine_kwargs`` and ``processor_kwargs``, one line each."""
    return [*_check_engine(entry.engine_kwargs), *_check_processor(entry)]


def find_processor_problem(model_type: str, processor_kwargs: Mapping[str, Any]) -> str | None:
    """A name that the processor of this type of model does not take; ``None`` where the type is not listed."""
    known = FAMILIES.get(model_type)
    if known is None:
        return None
    wrong = next((name for name in map(str, processor_kwargs) if name not in known), None)
    return wrong and f"processor_kwargs.{wrong}: not of the processor of {model_type}{_suggest(wrong, known)}"


def _check_engine(given: Mapping[str, Any]) -> list[str]:
    known, problems = frozenset(ENGINE), list[str]()
    for name in map(str, given):
        if name in OWN_FIELDS:
            instead = OWN_FIELDS[name] and f"; the entry's own field is {OWN_FIELDS[name]}"
            problems.append(f"engine_kwargs: {name} cannot be set here{instead}")
        elif name not in known:
            problems.append(f"engine_kwargs: vLLM has no {name[:60]!r}{_suggest(name, known)}")
    limits = given.get("limit_mm_per_prompt")
    for name in map(str, limits if isinstance(limits, Mapping) else ()):
        if name not in MODALITIES:
            problems.append(f"engine_kwargs.limit_mm_per_prompt: no {name[:60]!r}{_suggest(name, MODALITIES)}")
    return problems


def _check_processor(entry: ModelConfig) -> list[str]:
    if entry.trust_remote_code:  # then the processor may be the checkpoint's own
        return []
    wrong = [name for name in map(str, entry.processor_kwargs) if name not in PROCESSOR]
    return [f"processor_kwargs: no processor has {name[:60]!r}{_suggest(name, PROCESSOR)}" for name in wrong]


def _suggest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
