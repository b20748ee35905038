"""Where the parts of a configuration are: cases, pictures, files that the package carries, the providers of models."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mics_ray.config.keys import HUB_TOKENS, list_key_names
from mics_ray.config.schema import Config, Engine, InternDefaults, ModelConfig
from mics_ray.io.input_files import InputError, list_folders
from mics_ray.io.storage import is_address

LOCAL = "local"
EMBEDDED = "embedded:"
JUDGE = "judge"


def resolve_embedded(path: str) -> str:
    """Resolve ``embedded:…`` to the file or folder that the package carries; other paths stay as they are."""
    if path.startswith(EMBEDDED):
        return str(Path(__file__).parents[1] / "local" / path.removeprefix(EMBEDDED))
    return path


def resolve_cases(given: Any) -> str | list[str]:
    """``data.cases`` with what the package carries resolved: a file, folder or pattern, or a list of these."""
    return resolve_embedded(given) if isinstance(given, str) else [resolve_embedded(item) for item in given]


def locate_cases(config: Config) -> str | list[str]:
    """The input, as :func:`mics_ray.io.cases.survey_cases` takes it."""
    return resolve_cases(config.data.cases)


def locate_images(config: Config) -> Path | str:
    """The folder (or address) that picture paths are relative to; the one that holds the cases unless given.

    Raises :class:`mics_ray.io.input_files.InputError` where several folders hold them and none is given.
    """
    if given := config.data.image_root:
        return make_root(resolve_embedded(given))
    folders = list_folders(locate_cases(config))
    if len(folders) > 1:
        raise InputError(f"data.image_root: not given, and the cases lie in {len(folders)} folders; name one")
    return make_root(folders[0])


def make_root(given: str) -> Path | str:
    """A folder of pictures as an absolute path, for workers may run in another directory; an address as it is."""
    return given if is_address(given) else Path(given).absolute()


def list_models(config: Config) -> dict[str, ModelConfig]:
    """Every model of a run by its entry name: mentors, interns, the judge."""
    return {**config.mentors, **config.interns, JUDGE: config.judge}


def list_endpoints(config: Config) -> dict[str, ModelConfig]:
    """Every model behind an API, of whatever role, by its entry name."""
    return {name: entry for name, entry in list_models(config).items() if entry.engine is Engine.endpoint}


def list_served(config: Config) -> dict[str, ModelConfig]:
    """Every model that vLLM serves on machines of ours, of whatever role, by its entry name."""
    return {name: entry for name, entry in list_models(config).items() if entry.engine is Engine.vllm}


def use_served(config: Config, entries: Mapping[str, ModelConfig]) -> Config:
    """``config`` with ``entries`` in the place of those of their names."""
    mentors = {name: entries.get(name, entry) for name, entry in config.mentors.items()}
    interns = {name: entries.get(name, entry) for name, entry in config.interns.items()}
    return replace(
        config,
        mentors=mentors,
        interns=cast(dict[str, InternDefaults], interns),
        judge=entries.get(JUDGE, config.judge),
    )


def needs_hub_token(config: Config) -> bool:
    """Whether a job's processes need the hub's token: cases or pictures lie there, or it is an endpoint's key."""
    given = [config.data.cases] if isinstance(config.data.cases, str) else config.data.cases
    keys = {key for entry in list_endpoints(config).values() for key in list_key_names(entry)}
    return bool(keys & {*HUB_TOKENS}) or any(str(item).startswith("hf://") for item in [*given, config.data.image_root])


def group_by_provider(config: Config) -> dict[str, dict[str, ModelConfig]]:
    """Entries grouped by who serves them (address and key): one endpoint actor each, so that its limits are exact."""
    # The key is part of the group: two keys of one provider have limits of their own. A key may be in a header.
    groups: dict[str, dict[str, ModelConfig]] = {}
    for name, entry in list_endpoints(config).items():
        headers = (f"{header.lower()}={variable}" for header, variable in sorted(entry.headers_env.items()))
        group = " ".join(filter(None, [str(entry.base_url), entry.api_key_env, *headers]))
        groups.setdefault(group, {})[name] = entry
    return groups
