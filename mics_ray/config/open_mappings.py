"""Overrides that add to mappings: names in those that take any, such as ``engine_kwargs``, and entries such as interns.

They need no ``+``, and may have one. Hydra closes every mapping before it applies the command line, and takes no entry
that has fields of its own, so these overrides are applied here, after Hydra's.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

NEAR = 0.8
"""How alike (0-1) a name is to that of an entry that is there to be taken for it, misspelt."""


class UnknownEntry(Exception):
    """``name`` leads through an entry that is not there; ``siblings`` are. ``addable``: with a ``+`` it would be."""

    def __init__(self, name: str, siblings: Sequence[str], addable: bool = False) -> None:
        super().__init__(name)
        self.name, self.siblings, self.addable = name, siblings, addable


def split_overrides(overrides: Sequence[str], schema: type) -> tuple[list[str], list[Override]]:
    """The overrides that are Hydra's, and those of ``schema``'s open mappings and of entries to add, each in order.

    Raises Hydra's ``OverrideParseException``.
    """
    entries = {_find_added(schema, _read_path(one)) for one in overrides} - {()}
    entries -= {tuple(one.lstrip("~").partition("=")[0].split(".")) for one in overrides if one.startswith("~")}
    paths = {one: _read_path(one) for one in overrides}
    opened = [
        one
        for one, path in paths.items()
        if is_open(schema, path) or any(entry == tuple(path[: len(entry)]) for entry in entries)
    ]
    parsed = OverridesParser.create().parse_overrides(opened) if opened else []
    # Choices of a sweep are no value: Hydra says so.
    ours = [one for one in parsed if not one.is_sweep_override() and one.package is None]
    lines = {one.input_line for one in ours}
    return [one for one in overrides if one not in lines], ours


def apply_overrides(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Set what these ``overrides`` say; an entry that is given its model is added where it is not there.

    Raises :class:`UnknownEntry` and OmegaConf's errors.
    """
    schema = OmegaConf.get_type(config)
    for one in overrides:
        if entry := _find_added(schema, path := one.key_or_group.split(".")):
            _add_entry(config, entry, asked=one.is_add() or one.is_force_add())
    for one in overrides:
        path = one.key_or_group.split(".")
        _refuse_unknown_entry(config, path)
        # A field of an entry is the schema's, whatever the sign.
        OmegaConf.update(config, one.key_or_group, one.value(), merge=True, force_add=is_open(schema, path))


def is_open(schema: Any, path: Sequence[str]) -> bool:
    """Whether ``path`` leads to a mapping that takes any name, or below one."""
    kind = schema
    for number, name in enumerate(path):
        kind = _drop_optional(kind)
        if is_dataclass(kind):
            kind = get_type_hints(kind).get(name)
        elif kind is Any:
            return True
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
            if not is_dataclass(kind):
                return True
        else:
            return False
        if number + 1 == len(path):
            return get_origin(kind) is dict and not is_dataclass(get_args(kind)[1])
    return False


def _find_added(schema: Any, path: Sequence[str]) -> tuple[str, ...]:
    """The path of the entry that ``path`` gives a model or the whole of; empty for all other paths."""
    kind = schema
    for number, name in enumerate(path):
        kind = _drop_optional(kind)
        if get_origin(kind) is dict and is_dataclass(get_args(kind)[1]):
            return tuple(path[: number + 1]) if [*path[number + 1 :]] in ([], ["model"]) else ()
        if not is_dataclass(kind):
            return ()
        kind = get_type_hints(kind).get(name)
    return ()


def _add_entry(config: DictConfig, path: Sequence[str], asked: bool) -> None:
    """Add an entry with its defaults. One that nobody ``asked`` for and whose name is near another's is refused."""
    node = OmegaConf.select(config, ".".join(path[:-1]))
    if not isinstance(node, DictConfig) or path[-1] in node:
        return
    there = list(_list_names(node))
    if not asked and difflib.get_close_matches(path[-1], there, n=1, cutoff=NEAR):
        raise UnknownEntry(".".join(path), there, addable=True)
    with open_dict(node):
        node[path[-1]] = OmegaConf.structured(node._metadata.element_type)


def _read_path(override: str) -> list[str]:
    """The names of ``key=value``; none of what deletes, or of another package."""
    key, equals, _ = override.partition("=")
    return key.lstrip("+").split(".") if equals and not key.startswith("~") and "@" not in key else []


def _drop_optional(kind: Any) -> Any:
    if get_origin(kind) not in (Union, UnionType):
        return kind
    return next(one for one in get_args(kind) if one is not type(None))


def _refuse_unknown_entry(config: DictConfig, path: Sequence[str]) -> None:
    """An entry that is misspelt must not be made anew: where a schema stands, every name on the way is there."""
    node: Any = config
    for number, name in enumerate(path[:-1]):
        if not isinstance(node, DictConfig) or not _has_schema(node):
            return
        if name not in node:
            raise UnknownEntry(".".join(path[: number + 1]), list(_list_names(node)))
        node = node._get_node(name)


def _has_schema(node: DictConfig) -> bool:
    """Whether a mapping is a dataclass, or holds some."""
    return is_dataclass(OmegaConf.get_type(node)) or is_dataclass(node._metadata.element_type)


def _list_names(node: DictConfig) -> Iterator[str]:
    return (str(key) for key in node if key != "hydra")
