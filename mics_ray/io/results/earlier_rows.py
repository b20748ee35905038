"""Rows of an earlier schema in the form of today's: maps as lists of structs, fields that were added filled in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

Convert = Callable[[Any], Any]
"""A value that is not null, as :mod:`mics_ray.io.results.python_rows` gives it, in today's form."""


class UnknownSchema(Exception):
    """No schema of this code or an earlier one; the message names the first field that does not fit."""


def make_converter(
    have: pa.Schema, want: pa.Schema, before: Mapping[str, object], columns: Sequence[str]
) -> Convert | None:
    """What turns a file's rows into rows of ``columns``; ``None`` where they are so already.

    ``have`` is the file's schema, ``before`` the values of fields that it may lack, by their path
    (``usage.cached_tokens``). Raises :class:`UnknownSchema`, also for what is wrong with other columns.
    """
    if have.equals(want):
        return None
    types = dict(zip(have.names, have.types, strict=True))
    fields = _match_fields(types, dict(zip(want.names, want.types, strict=True)), "", before)
    return _make_struct_converter({name: fields[name] for name in columns}, before)


def _match_fields(
    have: Mapping[str, pa.DataType], want: Mapping[str, pa.DataType], place: str, before: Mapping[str, object]
) -> dict[str, tuple[str, Convert | None]]:
    """Each wanted field with its path, and how its value is converted (``None``: it stays as it is)."""
    if unknown := sorted(set(have) - set(want)):
        raise UnknownSchema(f"{place}{unknown[0]}")
    found: dict[str, tuple[str, Convert | None]] = {}
    for name, kind in want.items():
        path = f"{place}{name}"
        if name not in have and path not in before:
            raise UnknownSchema(path)
        found[name] = path, _make_value_converter(have[name], kind, path, before) if name in have else None
    return found


def _make_value_converter(
    have: pa.DataType, want: pa.DataType, path: str, before: Mapping[str, object]
) -> Convert | None:
    if have.equals(want):
        return None
    if pa.types.is_map(have) and pa.types.is_list(want) and pa.types.is_struct(want.value_type):
        return _make_map_converter(have, want.value_type, path, before)
    if pa.types.is_list(have) and pa.types.is_list(want):
        convert = _make_value_converter(have.value_type, want.value_type, path, before)
        return None if convert is None else lambda values: [_convert_value(convert, value) for value in values]
    if pa.types.is_struct(have) and pa.types.is_struct(want):
        fields = _match_fields(_list_types(have), _list_types(want), f"{path}.", before)
        return _make_struct_converter(fields, before)
    raise UnknownSchema(path)


def _make_map_converter(have: pa.DataType, want: pa.StructType, path: str, before: Mapping[str, object]) -> Convert:
    """A map's keys become the first field of the structs; its values the others, or the second where they are none."""
    key, value, spread = want[0].name, want[1].name, pa.types.is_struct(have.item_type)
    inner = _list_types(have.item_type) if spread else {value: have.item_type}
    if key in inner:
        raise UnknownSchema(f"{path}.{key}")
    fields = _match_fields({key: have.key_type} | inner, _list_types(want), f"{path}.", before)
    convert, nothing = _make_struct_converter(fields, before), dict.fromkeys(inner)

    def convert_item(name: Any, item: Any) -> Any:
        return convert({key: name} | ((item or nothing) if spread else {value: item}))

    return lambda pairs: [convert_item(name, item) for name, item in pairs.items()]


def _make_struct_converter(fields: Mapping[str, tuple[str, Convert | None]], before: Mapping[str, object]) -> Convert:
    def convert_struct(value: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: _convert_value(convert, value[name]) if name in value else before[path]
            for name, (path, convert) in fields.items()
        }

    return convert_struct


def _convert_value(convert: Convert | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)


def _list_types(struct: pa.StructType) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in struct}
