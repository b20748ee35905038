"""From a command line to a configuration, with errors that name the nearest valid name."""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from mics_ray.config.open_mappings import UnknownEntry, apply_overrides, split_overrides
from mics_ray.config.schema import Config
from mics_ray.errors import RefusedRun

T = TypeVar("T")

CONF = Path(__file__).resolve().parents[2] / "conf"
_KEY_PREFIX = re.compile(r"\b(?:sk|pk|rk|hf|gh[opsu]|gsk|xai|nvapi|AIza|AKIA|ya29|eyJ)[-_.]?[A-Za-z0-9_\-]{14,}")
_KEY_BODY = re.compile(r"(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{28,}")


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """The configuration of a generation job; see :func:`compose_job`."""
    return compose_job("generate", Config, overrides, config_dir)


def compose_job(job: str, schema: type[T], overrides: Sequence[str], config_dir: Path | None = None) -> T:
    """Compose ``conf/JOB.yaml`` with ``overrides`` (``group=NAME[,NAME…]`` or ``key=value``) and the user's own
    ``config_dir`` into an object of the dataclass ``schema``.

    Raises :class:`RefusedRun` naming what is wrong and the nearest valid name, never a value that looks like a key.
    """
    return _compose_checked(job, schema, overrides, config_dir)[0]


def show_config(job: str, schema: type[Any], overrides: Sequence[str], config_dir: Path | None, resolve: bool) -> str:
    """The configuration as YAML, its ``${…}`` filled in or as they are written. Raises :class:`RefusedRun`."""
    composed = _compose_checked(job, schema, overrides, config_dir)[1]
    return OmegaConf.to_yaml(composed, resolve=resolve)


def _compose_checked(
    job: str, schema: type[T], overrides: Sequence[str], config_dir: Path | None
) -> tuple[T, DictConfig]:
    _store_schema(schema)
    searchpath = [f"hydra.searchpath=[{quote_value(f'file://{config_dir.resolve()}')}]"] if config_dir else []
    if config_dir and not config_dir.is_dir():
        raise RefusedRun(f"--config-dir {config_dir}: no such folder")
    known = list_groups(job)
    overrides = [_wrap_list(override, known) for override in overrides]
    _refuse_unknown_choices(overrides, known, config_dir)
    try:
        closed, opened = split_overrides(overrides, schema)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composed = compose(job, [*closed, *searchpath])
        apply_overrides(composed, opened)
        _refuse_keys(composed)
        config = OmegaConf.to_object(composed)
    except UnknownEntry as unknown:
        near = suggest_nearest(unknown.name.rpartition(".")[2], unknown.siblings)
        more = "; with a + before it, it is an entry of its own" if unknown.addable else ""
        raise RefusedRun(f"unknown name {redact(unknown.name)!r}{near}{more}") from None
    except MissingConfigException as error:
        raise RefusedRun(_explain_unknown_choice(error)) from None
    except OverrideParseException as error:
        raise RefusedRun(explain_override(error)) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise RefusedRun(_explain_error(error, known)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{mark.name}, line {mark.line + 1}" if mark else getattr(error, "name", "one of the files")
        raise RefusedRun(f"not valid YAML: {place}") from None
    except RefusedRun:
        raise
    except Exception as error:  # the boundary to parsers that raise anything on odd text, and may quote it
        raise RefusedRun(
            f"cannot compose the configuration ({type(error).__name__}); look for odd characters or nesting in the "
            "overrides and in the files of --config-dir"
        ) from None
    if not isinstance(config, schema):
        raise RefusedRun(f"{job}.yaml does not begin with the schema")
    _check_fields(config, composed)
    return config, composed


def explain_override(error: OverrideParseException) -> str:
    """What to write where Hydra's grammar does not take an override."""
    return (
        f"cannot read the override {redact(error.override)!r}; write key=value, and key='\"value\"' where the value "
        "holds = , : or brackets"
    )


def _store_schema(schema: type) -> None:
    """Put ``schema`` where ``conf/JOB.yaml`` finds it; to make it anew takes a quarter of the time of composing."""
    store = ConfigStore.instance()
    held = store.repo.get("schema.yaml")
    if held is None or OmegaConf.get_type(held.node) is not schema:
        store.store(name="schema", node=schema)


def list_groups(job: str) -> tuple[str, ...]:
    """The groups that ``conf/JOB.yaml`` lets one choose from, in its order."""
    defaults = yaml.safe_load((CONF / f"{job}.yaml").read_text(encoding="utf-8"))["defaults"]
    return tuple(name for entry in defaults if isinstance(entry, dict) for name in entry)


def dump_yaml(config: Any) -> str:
    """The resolved configuration; it holds names of environment variables, never their values."""
    return OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)


def suggest_nearest(name: str, valid: Sequence[str]) -> str:
    """`` - did you mean X?`` or the list of what there is."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
    known = ", ".join(sorted(set(valid))[:12])
    return f"; did you mean {close[0]!r}?" if close else f"; there is: {known}" if valid else ""


def suggest_variable(name: str) -> str:
    """The same for a name of an environment variable; the others are nobody's business."""
    others = [other for other in os.environ if other != name]  # it may be there, but empty
    close = difflib.get_close_matches(name, others, n=1, cutoff=0.75)
    return suggest_nearest(name, close)


def looks_like_key(value: str) -> bool:
    """Whether a string has the look of a secret rather than of a name."""
    return bool(_KEY_PREFIX.search(value) or _KEY_BODY.search(value))


def redact(value: object) -> str:
    """A value fit for a message: secrets hidden, length bounded."""
    text = str(value)
    return "(a value that looks like a key)" if looks_like_key(text) else text[:80]


def _explain_unknown_choice(error: MissingConfigException) -> str:
    missing = error.missing_cfg_file
    group, _, name = str(missing[0] if isinstance(missing, list | tuple) else missing).rpartition("/")
    group = redact(group)  # a slash in what was typed makes the group longer
    return f"{group}={redact(name)}: no such file in conf/{group}{suggest_nearest(name, list(error.options or []))}"


def _explain_error(error: Exception, known: Sequence[str]) -> str:
    """What Hydra or OmegaConf found, in one line, from the attributes of the error that began it."""
    cause = _find_origin(error)
    key, full_key = getattr(cause, "key", None), getattr(cause, "full_key", None)
    message = str(getattr(cause, "msg", None) or cause).strip().splitlines()[0]
    in_file = re.match(r"In '([\w/.-]+)'", str(error))
    where = f"{in_file[1]}.yaml: " if in_file else ""
    if isinstance(cause, GrammarParseError):
        return f"{where}a ${{…}} cannot be read: {_redact_words(message)[:200]}"
    if key is None:
        return _explain_missing_group(message) or where + _redact_words(message)[:200]
    name = redact(full_key or key)
    if "missing mandatory" in message:
        return f"{name} is not set: give {name}=… on the command line or in a config file"
    if "not in" in message or "is not in struct" in message or "Could not override" in str(error):
        return f"{where}unknown name {name!r}{suggest_nearest(str(key), _list_siblings(cause, known))}"
    return f"{where}{name}: {_redact_words(message)}{_suggest_for_interpolation(message)}"


def _find_origin(error: BaseException) -> BaseException:
    """The first error of the chain that knows its key; where none does, the first that says anything."""
    chain: list[BaseException] = [error]
    link = error.__cause__ or error.__context__
    while link is not None:
        chain.append(link)
        link = link.__cause__ or link.__context__
    keyed = (each for each in chain if isinstance(each, OmegaConfBaseException) and each.full_key is not None)
    return next(keyed, None) or next((each for each in chain if str(each).strip()), error)


def _list_siblings(cause: BaseException, known: Sequence[str]) -> list[str]:
    """The names that are valid beside an unknown one; at the top the groups ``known`` are, too."""
    parent = getattr(cause, "parent_node", None)
    valid = [str(key) for key in parent if key != "hydra"] if isinstance(parent, DictConfig) else []
    return valid if "." in str(getattr(cause, "full_key", "")) else [*valid, *known]


def _explain_missing_group(message: str) -> str | None:
    match = re.match(r"You must specify '(\w+)'", message)
    return (
        match and f"choose {match[1]}=NAME: one of {', '.join(list_choices(match[1]))}, or a file of your --config-dir"
    )


def list_choices(group: str, config_dir: Path | None = None) -> list[str]:
    """The names that ``conf/`` and the user's own ``config_dir`` offer for a group."""
    folders = [CONF / group, *([config_dir / group] if config_dir else [])]
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def _wrap_list(override: str, known: Sequence[str]) -> str:
    """``group=a,b`` as Hydra's list of choices; bare, Hydra would take it for a sweep over several runs."""
    group, _, names = override.partition("=")
    return f"{group}=[{names}]" if group in known and re.fullmatch(r"[\w.-]+(,[\w.-]+)+", names) else override


def _refuse_unknown_choices(overrides: Sequence[str], known: Sequence[str], config_dir: Path | None) -> None:
    """A wrong NAME comes before a group that is not chosen yet, which Hydra would name first."""
    for group, _, value in (override.partition("=") for override in overrides):
        if group in known and re.fullmatch(r"[\w.-]+|\[[\w., -]*\]", value) and value != "null":
            offered = list_choices(group, config_dir)
            for name in filter(None, re.split(r"[\[\], ]+", value)):
                if name.removesuffix(".yaml") not in offered:
                    raise RefusedRun(
                        f"{group}={redact(name)}: no such file in conf/{group}{suggest_nearest(name, offered)}"
                    )


def quote_value(text: str) -> str:
    """``text`` as a value of Hydra's override grammar."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _suggest_for_interpolation(message: str) -> str:
    match = re.search(r"Environment variable '(\w+)' not found", message)
    return suggest_variable(match[1]) if match else ""


def _redact_words(message: str) -> str:
    return " ".join(redact(word) if looks_like_key(word) else word for word in message.split(" "))


def _refuse_keys(composed: DictConfig) -> None:
    for name, value in _walk_leaves(OmegaConf.to_container(composed, resolve=True)):
        if isinstance(value, str) and (looks_like_key(value) or re.match(r"https?://[^/@]+@", value)):
            raise RefusedRun(
                f"{name} holds what looks like a key; put the key into an environment variable "
                "and its NAME into api_key_env or headers_env"
            )


def _walk_leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _walk_leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _check_fields(node: Any, composed: Any, path: str = "") -> None:
    """Refuse fields that were forced in with ``+`` or ``++`` and that the schema does not have, and required ones that
    are blank: a folder ``""`` would be the one that the program was started in."""
    if isinstance(node, dict):
        for key, value in node.items():
            if is_dataclass(value):
                _check_fields(value, composed[key], f"{path}{key}.")
    elif is_dataclass(node):
        known = {field.name: field.default for field in fields(node)}
        for key in composed:
            if key not in known and not (path == "" and key == "hydra"):
                raise RefusedRun(f"unknown name {redact(f'{path}{key}')!r}{suggest_nearest(str(key), list(known))}")
        for name, default in known.items():
            value = getattr(node, name)
            if default == MISSING and isinstance(value, str) and not value.strip():
                raise RefusedRun(f"{redact(path + name)} is empty: give {redact(path + name)}=… a value")
            _check_fields(value, composed[name], f"{path}{name}.")
