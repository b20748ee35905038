"""Which architectures the installed vLLM can serve, found out without importing it."""

import ast
from importlib import util
from pathlib import Path


def knows(architecture: str, model_type: str) -> bool:
    """Whether vLLM has a model of that name, or transformers has its type (which vLLM serves through it).

    Read from their sources, since importing them takes seconds; without them installed everything is taken as known.
    """
    vllm, transformers = _package("vllm"), _package("transformers")
    if vllm is None:
        return True
    registry = ast.parse((vllm / "model_executor/models/registry.py").read_text(encoding="utf-8"))
    tables = [node for node in ast.walk(registry) if isinstance(node, ast.Dict)]
    names = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
    known_type = bool(model_type) and transformers is not None and (transformers / "models" / model_type).is_dir()
    return architecture in names or known_type


def _package(name: str) -> Path | None:
    """The folder of an installed package, which is not imported."""
    found = util.find_spec(name)
    return Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None
