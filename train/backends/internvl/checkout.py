"""What a clone of OpenGVLab/InternVL and its Python must have, read without importing any of it."""

import ast
import json
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mics_ray.config.compose import suggest_nearest
from mics_ray.errors import RefusedRun
from train.backends.internvl.commands import MERGE, SCRIPT, ZERO

PACKAGES = ("torch", "transformers", "peft", "deepspeed", "flash_attn")
PROBE_TIMEOUT_S = 60

# find_spec, since importing flash_attn and deepspeed takes long and may want a GPU.
_ASK = "import importlib.util, sys; print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))"


def check_checkout(chat: Path, python: str, arguments: Iterable[str], data: Iterable[str]) -> None:
    """Refuse a checkout without the files or the ``arguments`` (of the model) and ``data`` arguments that we use, and
    a Python without the packages. Arguments of transformers' own are not the checkout's to know."""
    for name in (SCRIPT, MERGE, ZERO):
        if not (chat / name).is_file():
            raise RefusedRun(
                f"train.upstream.checkout: {chat / name} is not there; give the root of a clone of OpenGVLab/InternVL"
            )
    known = read_class_fields(chat / SCRIPT)
    for group, names in (("ModelArguments", arguments), ("DataTrainingArguments", data)):
        for name in names:
            if name not in known.get(group, ()):
                raise RefusedRun(
                    f"train.upstream.checkout: {SCRIPT} there has no argument {name!r} in {group}"
                    f"{suggest_nearest(name, known.get(group, []))}; use a checkout of InternVL 2.5 or later"
                )
    _check_python(python, chat)


def read_class_fields(script: Path) -> dict[str, list[str]]:
    """The annotated fields of every class of a Python file, by class. Raises :class:`RefusedRun`."""
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise RefusedRun(f"train.upstream.checkout: cannot read {script}: {type(error).__name__}") from None
    return {
        node.name: [
            line.target.id
            for line in node.body
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        ]
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _check_python(python: str, chat: Path) -> None:
    if not (Path(python).is_file() and os.access(python, os.X_OK)):
        raise RefusedRun(f"train.upstream.python: {python} is no program; give the trainer's own interpreter")
    asked = [python, "-c", _ASK, *PACKAGES]
    # Our own variables would let the interpreter find our packages instead of its own.
    variables = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(chat)}
    try:
        answer = subprocess.run(
            asked, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, env=variables, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RefusedRun(f"train.upstream.python: {python} does not run Python ({type(error).__name__})") from None
    if missing := answer.stdout.split():
        raise RefusedRun(
            f"train.upstream.python: {python} lacks {', '.join(missing)}; install what the checkout requires"
        )


def check_original_model(model: str) -> None:
    """Refuse weights that the trainer cannot start from: a hub id is taken as it is, a folder is looked into."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", model):
            raise RefusedRun(f"train.model: {model} is neither a folder nor a hub id")
        if model.lower().endswith("-hf"):
            raise RefusedRun(f"train.model: {model} is in transformers' form; the trainer reads {model[:-3]}")
        return
    config = _read_model_config(folder)
    if "InternVLChatModel" not in config.get("architectures", []):
        raise RefusedRun(
            f"train.model: {folder} is no InternVLChatModel; InternVL's trainer reads the original form only"
        )
    if config.get("use_llm_lora"):
        raise RefusedRun(f"train.model: {folder} holds an adapter that is not merged; merge it with {MERGE} first")


def _read_model_config(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefusedRun(f"train.model: {folder} holds no config.json") from None
    except (OSError, ValueError) as error:
        raise RefusedRun(f"train.model: cannot read {folder / 'config.json'}: {type(error).__name__}") from None
    return content if isinstance(content, dict) else {}
