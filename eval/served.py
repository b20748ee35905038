"""How a model was served: what decides its answers beside its weights, from an evaluation's configuration."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mics_ray.config.identity import OF_INTERNS, list_differences, name_decisive_fields
from mics_ray.config.schema import Engine

_FORM = re.compile(r"#[ \t]*(?:the )?final answer\b", re.I)
_WEIGHTS = {"model", "revision", "adapter"}


def list_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Prompts, tiles, pictures, sampling and judge in dotted names; the model itself and places are left out."""
    # By the list that the identity uses: what decides answers there decides them here.
    decisive = {*OF_INTERNS, "sampling"} - _WEIGHTS
    serve = {name: value for name, value in _read_part(config, "serve").items() if name in decisive}
    if not serve.get("processor_kwargs"):  # then the checkpoint's own processor cuts the tiles
        serve["tiling"] = _read_part(_read_part(config, "checkpoint"), "tiling")
    judge = _read_part(config, "judge")
    decides = {*name_decisive_fields(Engine(judge.get("engine", Engine.endpoint.value))), "sampling"}
    judge = {name: value for name, value in judge.items() if name in decides}
    parts = {
        "prompts": _read_part(config, "prompts"),
        "pictures": _read_part(config, "pictures"),
        "serve": serve,
        "judge": judge,
    }
    sampling = {"temperature": config["eval"].get("temperature"), "seed": config.get("seed")}
    return dict(_flatten_names(parts | {"sampling": sampling}))


def served_differently(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What two evaluations did not serve alike, one line each; empty when the models alone differ."""
    return list_differences(list_settings(first), list_settings(second))


def asks_for_form(config: Mapping[str, Any]) -> bool:
    """Whether the model was asked for ``### The final answer is:``, the form that strict scores are about."""
    return _FORM.search(str(_read_part(config, "prompts").get("intern", ""))) is not None


def model_name(config: Mapping[str, Any]) -> str:
    """The model as it was named, with its adapter."""
    adapter = _read_part(config, "serve").get("adapter")
    return f"{config.get('model')} + {adapter}" if adapter else str(config.get("model"))


def _read_part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _flatten_names(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from _flatten_names(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, node
