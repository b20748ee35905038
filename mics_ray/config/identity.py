"""What decides a run's results, so that a folder is never continued with something else.

Where a model is reached, how fast it may be asked and how many copies serve it may change between restarts.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from mics_ray import __version__
from mics_ray.config.context import read_context
from mics_ray.config.schema import Config, Engine, ModelConfig
from mics_ray.config.speed_arguments import drop_speed

OF_ENDPOINTS = ("model", "temperature", "max_tokens")
"""What decides the replies of a mentor or the judge behind an API."""
OF_INTERNS = (
    "engine", "model", "max_tokens", "revision", "adapter", "max_model_len", "trust_remote_code", "engine_kwargs",
    "processor_kwargs",
)  # fmt: skip
"""What decides the votes of an intern. The names of both go into every row's digest: one more, and no run goes on."""
OF_SERVED = (*OF_INTERNS, "temperature")
"""What decides the replies of a mentor or the judge that vLLM serves."""
WHERE_GIVEN = ("extra_body", "query", "sees_pictures", "sampling")
"""What decides the replies of an entry that gives it; left out of the digest where it is as by default."""


def build_identity(config: Config, data_sha256: str) -> dict[str, Any]:
    """The flat, JSON-able view of everything that decides the results: names in dotted form, values as configured."""
    view: dict[str, Any] = {name: asdict(getattr(config, name)) for name in ("search", "prompts", "pictures")}
    if view["search"]["intern_sampling"] is None:
        # As runs were made that did not know it: they go on.
        del view["search"]["intern_sampling"]
    for name in ("match_gold", "adaptive"):
        if not view["search"][name]:
            del view["search"][name]
    for name in ("window", "frames"):
        if str(view["pictures"][name]) == "auto":
            del view["pictures"][name]
    if not view["prompts"]["intern_without_pictures"]:
        del view["prompts"]["intern_without_pictures"]
    if config.leaks.judge:
        view["leaks"] = asdict(config.leaks)
    else:
        view["prompts"].pop("judge_leak")
    view["judge"] = _select_fields(config.judge, name_decisive_fields(config.judge.engine))
    view["mentors"] = {
        name: _select_fields(entry, name_decisive_fields(entry.engine)) for name, entry in config.mentors.items()
    }
    view["interns"] = {name: _select_fields(entry, OF_INTERNS) for name, entry in config.interns.items()}
    flat = {"seed": config.seed, "data.sha256": data_sha256}
    if shown := read_context(config.data.context):
        flat["data.context"] = ", ".join(shown)
    for name, value in _flatten_view(view):
        flat[name] = value.value if isinstance(value, Enum) else value
    return drop_speed(flat)


def name_decisive_fields(engine: Engine) -> tuple[str, ...]:
    """The fields that decide the replies of a mentor or the judge on this engine, beside :data:`WHERE_GIVEN`."""
    return OF_SERVED if engine is Engine.vllm else OF_ENDPOINTS


def _select_fields(entry: ModelConfig, names: Sequence[str]) -> dict[str, Any]:
    values, defaults = asdict(entry), asdict(ModelConfig())
    given = [name for name in WHERE_GIVEN if values[name] != defaults[name]]
    return {name: values[name] for name in (*names, *given)}


def digest_identity(view: dict[str, Any]) -> str:
    """The configuration's digest as rows carry it, 16 hex digits."""
    return hashlib.sha256(json.dumps(view, sort_keys=True, default=str).encode()).hexdigest()[:16]


def list_differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changed between two views, one line each; long texts are not shown."""
    lines = []
    # Views that were written before hold these too.
    old, new = drop_speed(old), drop_speed(new)
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            lines.append(f"{name}: {_shorten_value(before)} -> {_shorten_value(after)}")
    return lines


def find_code_version() -> str:
    """The package version, with the commit where the code runs from a checkout and there is a ``git`` to ask."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return __version__
    found = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    return f"{__version__}+{found.stdout.strip()}" if found.returncode == 0 else __version__


def _flatten_view(node: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in _flatten_view(value, f"{path}.{key}" if path else key)]
    return [(path, node)]


def _shorten_value(value: Any) -> str:
    if value is None:
        return "(not there)"
    text = str(value)
    return text if len(text) <= 60 else f"(text of {len(text)} characters)"
