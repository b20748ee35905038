"""What the backend `peft` refuses before Ray and torch are loaded: settings, the model's folder, the records."""

import json
import re
from pathlib import Path
from typing import Any

from mics_ray.assemble.locations import resolve_embedded
from mics_ray.errors import RefusedRun
from train.backends.peft.records import Records
from train.config import TrainConfig, TrainJob
from train.stages import Stage, read_stages

# float16 is not among them: it needs loss scaling, which the training loop does not do.
DTYPES = ("bfloat16", "float32")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_job(job: TrainJob) -> list[tuple[Stage, Records]]:
    """The stages with their records, all of it usable. Raises :class:`RefusedRun` for the first thing that is not."""
    check_settings(job.train)
    check_hf_model(job.train)
    return [(stage, Records(stage.entries)) for stage in read_stages(job.export.dir, job.export.stages)]


def check_settings(train: TrainConfig) -> None:
    """Refuse a recipe that does not work out."""
    if train.dtype not in DTYPES:
        raise RefusedRun(f"train.dtype: {train.dtype!r} is not one of {', '.join(DTYPES)}")
    at_least_one = ("workers", "batch_per_device", "batch_size", "save_steps", "log_steps", "max_tiles", "max_steps")
    for name in at_least_one:
        if (value := getattr(train, name)) is not None and value < 1:
            raise RefusedRun(f"train.{name}: {value} is not at least 1")
    if train.epochs <= 0:
        raise RefusedRun(f"train.epochs: {train.epochs} is not above 0")
    at_once = train.workers * train.batch_per_device
    if train.batch_size % at_once:
        raise RefusedRun(
            f"train.batch_size: {train.batch_size} is not a multiple of workers x batch_per_device = {at_once}"
        )


def check_hf_model(train: TrainConfig) -> None:
    """Refuse a model folder that is not there, is no InternVL in transformers' form, or whose processor does not fit.

    A hub id is not looked at: it is fetched when training begins, and its folder checked then.
    """
    folder = Path(resolve_embedded(train.model))
    if folder.is_dir():
        check_folder(folder, train)
    elif not _HUB_ID.fullmatch(train.model):
        raise RefusedRun(f"train.model: {folder} is not there; give a folder, a hub id or embedded:interns/internvl")


def check_folder(folder: Path, train: TrainConfig) -> None:
    """Refuse a folder whose configuration, processor and tokenizer do not belong together."""
    config = _read_model_file(folder / "config.json")
    if config.get("model_type") != "internvl":
        raise RefusedRun(
            f"{folder}: model_type is {config.get('model_type')!r}, the backend `peft` trains `internvl`, "
            "transformers' form (such as OpenGVLab/InternVL3-2B-hf); for the original form take the backend `internvl`"
        )
    if not list(folder.glob("*.safetensors")):
        raise RefusedRun(f"{folder}: there are no weights (*.safetensors)")
    side, length = _read_tile(folder)
    vision = config["vision_config"]
    taken = _as_pair(vision["image_size"])
    if [side, side] != taken or side != train.image_size:
        raise RefusedRun(
            f"{folder}: the processor makes tiles of {side} pixels, the model takes {taken[0]}, "
            f"train.image_size is {train.image_size}; the three must be equal"
        )
    patches = side // _as_pair(vision["patch_size"])[0] * config.get("downsample_ratio", 0.5)
    if length != int(patches) ** 2:
        raise RefusedRun(f"{folder}: the processor writes {length} tokens a tile, the model makes {int(patches) ** 2}")
    _check_token(folder, config["image_token_id"])


def _read_tile(folder: Path) -> tuple[int, int]:
    """Side of a tile in pixels and its tokens, as the processor's files say."""
    names = ("processor_config.json", "preprocessor_config.json")
    made: dict[str, Any] = {}
    for path in (folder / name for name in names):
        # Models have one of these files or both; where both give a value, the first counts.
        made = (_read_model_file(path) if path.exists() else {}) | made
    size = made.get("image_processor", made).get("size", {})
    if "height" not in size:
        raise RefusedRun(f"{folder}: no {' or '.join(names)} with the size of a tile; the model has no processor")
    return int(size["height"]), int(made.get("image_seq_length", 256))


def _check_token(folder: Path, expected: int) -> None:
    """The tokenizer's picture token must be the one that the model replaces by what it sees."""
    named = _read_model_file(folder / "tokenizer_config.json").get("context_image_token", "<IMG_CONTEXT>")
    added = _read_model_file(folder / "tokenizer.json").get("added_tokens", [])
    found = next((token["id"] for token in added if token["content"] == named), None)
    if found != expected:
        raise RefusedRun(f"{folder}: the tokenizer's {named} is {found}, the model expects {expected}; they do not fit")


def _as_pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _read_model_file(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefusedRun(f"{path.parent}: {path.name} is missing; this is no model folder of transformers") from None
    except (OSError, ValueError) as error:
        raise RefusedRun(f"cannot read {path} ({type(error).__name__})") from None
    return dict(content)
