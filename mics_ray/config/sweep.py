"""``-m``: a command line whose values hold choices is the command lines of all their combinations."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import quote

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException, OverrideParseException

from mics_ray.config.compose import explain_override, list_choices, list_groups, quote_value, redact
from mics_ray.errors import RefusedRun

LONGEST_NAME = 200  # bytes; file systems take 255, and lock and temporary files beside it add to it


@dataclass(frozen=True, slots=True)
class Combination:
    """One job of a sweep: ``KEY=VALUE[,KEY=VALUE]`` of what is swept, and its whole command line without a sweep."""

    name: str
    overrides: tuple[str, ...]


def expand_sweep(overrides: Sequence[str], job: str, config_dir: Path | None = None) -> list[Combination]:
    """All combinations, the last value first to change. A list is one value: ``mentors=[a,b]``.

    Raises :class:`RefusedRun` for what cannot be read, and where two combinations would share a folder.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        values = [_list_values(one, job, config_dir) for one in parsed]
    except OverrideParseException as error:
        raise RefusedRun(explain_override(error)) from None
    except HydraException as error:
        raise RefusedRun(f"-m: {redact(error)}") from None
    swept = [one.is_sweep_override() for one in parsed]
    keys = [one.get_key_element() for one in parsed]
    found = []
    for chosen in product(*values):
        lines = tuple(
            f"{key}={value}" if sweeps else value for key, value, sweeps in zip(keys, chosen, swept, strict=True)
        )
        name = ",".join(line.lstrip("+") for line, sweeps in zip(lines, swept, strict=True) if sweeps)
        found.append(Combination(name, lines))
    names = [one.name for one in found]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise RefusedRun(f"-m: {redact(doubled)} is given twice")
    return found


def place_combination(combination: Combination, folder_key: str, folder: str | None) -> Combination:
    """The same with ``folder_key=FOLDER/NAME``; a relative name alone where there is no folder to go into."""
    name = _name_folder(combination.name)
    place = "/".join(part for part in (folder, name) if part)
    others = (line for line in combination.overrides if line.lstrip("+").partition("=")[0] != folder_key)
    return Combination(combination.name, (*others, f"{folder_key}={quote_value(place)}"))


def find_value(overrides: Sequence[str], key: str) -> str | None:
    """The text that the last override of ``key`` gives it. ``overrides`` have been read before."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    texts = [str(one.value()) for one in parsed if one.key_or_group == key and not one.is_sweep_override()]
    return texts[-1] if texts else None


def _list_values(override: Override, job: str, config_dir: Path | None) -> list[str]:
    """The values of a sweep as they are typed; of any other override the whole line, as the only one."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.key_or_group
    if not override.is_discrete_sweep():
        raise RefusedRun(f"-m: {key}: an interval has no end; write range(…) or the values themselves")
    value = override.value()
    if isinstance(value, Glob):
        found = value.filter(list_choices(key, config_dir)) if key in list_groups(job) else []
        if not found:
            raise RefusedRun(f"-m: {key}: glob(…) finds nothing in conf/{redact(key)}")
        return [str(name) for name in found]
    return list(override.sweep_string_iterator())


def _name_folder(name: str) -> str:
    """``name`` as the name of one folder: what a path or a shell would take apart is percent-encoded."""
    safe = quote(name, safe="=,+[]")
    if len(safe) <= LONGEST_NAME:
        return safe
    return f"{safe[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
