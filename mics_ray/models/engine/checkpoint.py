"""Whether a folder holds a model that can be served, found out from its small files before anything is loaded."""

import ast
import json
from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun
from mics_ray.models.engine.adapter import read_tensor_names
from mics_ray.models.engine.arguments import find_processor_problem
from mics_ray.models.engine.hub import SMALL_FILES, fetch_files, is_hub_id
from mics_ray.models.engine.internvl_form import (
    MODEL_TYPE,
    find_chat_template,
    find_foreign_tiling,
    find_form_problem,
    is_original_form,
    read_own_tiling,
)

PROCESSORS = {
    "internvl": "InternVLProcessor",
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
}
"""The processor of a model type: another one puts in picture tokens that the model does not count on."""
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_TILING = (
    "crop_to_patches",
    "min_patches",
    "max_patches",
    "min_pixels",
    "max_pixels",
    "size",
    "patch_size",
    "merge_size",
)


def is_known_architecture(architecture: str, model_type: str) -> bool:
    """Whether vLLM has a model of that name, or transformers has its type (which vLLM serves through it).

    Read from their sources, since importing them takes seconds; without them installed everything is taken as known.
    """
    vllm, transformers = _package_folder("vllm"), _package_folder("transformers")
    if vllm is None:
        return True
    registry = ast.parse((vllm / "model_executor/models/registry.py").read_text(encoding="utf-8"))
    tables = [node for node in ast.walk(registry) if isinstance(node, ast.Dict)]
    names = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
    known_type = bool(model_type) and transformers is not None and (transformers / "models" / model_type).is_dir()
    return architecture in names or known_type


def _package_folder(name: str) -> Path | None:
    """The folder of an installed package, which is not imported."""
    found = util.find_spec(name)
    return Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None


def check_checkpoint(
    model: str, revision: str | None = None, processor_kwargs: Mapping[str, Any] | None = None
) -> None:
    """Refuse a folder, or a model of the hub, that cannot be served as it is. Raises :class:`RefusedRun`.

    Looked at: the configuration, whole weights (of a folder), tokenizer, processor and chat template, and whether they
    fit each other and ``processor_kwargs``.
    """
    folder = fetch_small_files(model, revision)
    config = _read_json_file(folder, "config.json")
    if Path(model).is_dir():
        _check_weights(folder)
    checks = (_check_tokenizer, _check_processor, _check_chat_template)
    foreign = find_foreign_tiling(config, processor_kwargs or {})
    named = find_processor_problem(str(config.get("model_type", "")), processor_kwargs or {})
    problems = [_check_architecture(config), foreign, named, *(check(folder, config) for check in checks)]
    if problem := next(filter(None, problems), None):
        raise RefusedRun(f"{model}: {problem}")


def fetch_small_files(model: str, revision: str | None = None) -> Path:
    """The folder of a model; of one on the hub its small files, fetched. Raises :class:`RefusedRun`."""
    if Path(model).is_dir():
        return Path(model)
    if not is_hub_id(model):
        raise RefusedRun(f"{model}: no such folder; give a folder with a model, or the id of one on the hub")
    return fetch_files(model, revision, SMALL_FILES)


def read_tiling(folder: Path) -> dict[str, Any]:
    """How the checkpoint's own processor cuts and scales pictures, where nothing else is configured."""
    config = _read_optional_json(folder, "config.json")
    if is_original_form(config):
        return read_own_tiling(config)
    settings = _read_processor_config(folder)
    images = settings.get("image_processor", settings)
    return {name: images[name] for name in _TILING if name in images}


def _read_json_file(folder: Path, name: str) -> dict[str, Any]:
    """A file that must be there and hold a JSON object."""
    path = folder / name
    if not path.is_file():
        raise RefusedRun(f"{folder}: no {name}; it is not the folder of a whole model")
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RefusedRun(f"{path}: no JSON object")
    return found


def _read_optional_json(folder: Path, name: str) -> dict[str, Any]:
    return _read_json_file(folder, name) if (folder / name).is_file() else {}


def _check_weights(folder: Path) -> None:
    index = "model.safetensors.index.json"
    listed = sorted(set(_read_optional_json(folder, index).get("weight_map", {}).values()))
    if gone := [name for name in listed if not (folder / name).is_file()]:
        raise RefusedRun(f"{folder}: {gone[0]} is not there, though {index} names it")
    files = [folder / name for name in listed] or sorted(folder.glob("*.safetensors"))
    if not files:
        raise RefusedRun(f"{folder}: no weights as safetensors; a LoRA adapter goes into `adapter`, beside its model")
    for path in files:
        try:
            read_tensor_names(path)
        except ValueError as error:
            raise RefusedRun(str(error)) from None


def _check_architecture(config: Mapping[str, Any]) -> str | None:
    names = config.get("architectures") or []
    if not names:
        return "config.json names no architecture"
    if is_original_form(config):
        return find_form_problem(config) or _check_language_model(config["llm_config"])
    if "auto_map" in config or is_known_architecture(names[0], str(config.get("model_type", ""))):
        return None
    return f"unknown architecture {names[0]!r}; vLLM cannot serve it"


def _check_language_model(config: Mapping[str, Any]) -> str | None:
    """Of a model in InternVL's own form: one whose configuration transformers knows, since no code is run."""
    kind, transformers = str(config["model_type"]), _package_folder("transformers")
    if transformers is None or (transformers / "models" / kind).is_dir():
        return None
    return f"unknown language model {kind!r}; its configuration would be code of the checkpoint"


def _check_tokenizer(folder: Path, config: Mapping[str, Any]) -> str | None:
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return "no tokenizer (tokenizer.json); save the processor beside the model"
    tokens = _read_token_ids(folder)
    if not tokens:
        return None
    text = config.get("text_config") or config.get("llm_config") or config
    rows, most = text.get("vocab_size") or config.get("vocab_size"), max(tokens.values())
    if rows is not None and most >= rows:
        return f"its tokenizer has the token id {most}, its embedding only {rows} rows; another model's tokenizer?"
    picture = config.get("image_token_id", config.get("image_token_index"))
    if picture is None:
        return None
    if picture not in tokens.values():
        return f"its tokenizer does not know the image token id {picture} of config.json"
    named = _read_optional_json(folder, "tokenizer_config.json").get("context_image_token")
    if named is not None and tokens.get(named, picture) != picture:
        return f"the image token {named} is {tokens[named]} for its tokenizer and {picture} in config.json"
    return None


def _read_token_ids(folder: Path) -> dict[str, int]:
    """Every token that JSON files of the tokenizer name; empty for tokenizers in other forms."""
    whole = _read_optional_json(folder, "tokenizer.json")
    vocabulary = whole.get("model", {}).get("vocab", {}) or _read_optional_json(folder, "vocab.json")
    if isinstance(vocabulary, list):
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    if not vocabulary:
        return {}
    added = {token["content"]: token["id"] for token in whole.get("added_tokens", [])}
    decoder = _read_optional_json(folder, "tokenizer_config.json").get("added_tokens_decoder", {})
    named = {token["content"]: int(number) for number, token in decoder.items()}
    # What was added to a tokenizer overrules its vocabulary, so it comes last.
    return {**vocabulary, **_read_optional_json(folder, "added_tokens.json"), **named, **added}


def _check_processor(folder: Path, config: Mapping[str, Any]) -> str | None:
    """A model that sees needs the files of its own processor; models that bring code bring their processor too, and
    that of InternVL's own form is vLLM's."""
    if "vision_config" not in config or "auto_map" in config or is_original_form(config):
        return None
    settings = _read_processor_config(folder)
    if not settings:
        return "no processor (processor_config.json or preprocessor_config.json); save it beside the model"
    kind = config.get("model_type", "")
    found, wanted = settings.get("processor_class"), PROCESSORS.get(kind)
    if found and wanted and found != wanted:
        return f"its processor is a {found}, a model of type {kind} needs {wanted}"
    length, counted = settings.get("image_seq_length"), config.get("image_seq_length")
    if length is not None and counted is not None and length != counted:
        return f"its processor puts in {length} tokens for a tile, the model makes {counted} (image_seq_length)"
    return None


def _read_processor_config(folder: Path) -> dict[str, Any]:
    image_only = _read_optional_json(folder, "preprocessor_config.json")
    return image_only | _read_optional_json(folder, "processor_config.json")


def _check_chat_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    if find_chat_template(config) or config.get("model_type") not in (*PROCESSORS, MODEL_TYPE):
        return None
    if any((folder / name).is_file() for name in _TEMPLATES):
        return None
    if _read_optional_json(folder, "tokenizer_config.json").get("chat_template"):
        return None
    return "no chat template (chat_template.jinja); save the processor beside the model"
