"""pyarrow in a process that has no use for pandas."""

import sys

import pyarrow as pa


class _NoPandas:
    """Says that there is no pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def spare_pandas() -> None:
    """Have pyarrow do without pandas for as long as this process lasts.

    It would load it (0.4 s of CPU, 40 MB) for its first array, to ask whether a list is one of pandas' own. Nothing
    happens where pandas is loaded already.
    """
    sys.meta_path.insert(0, hidden := _NoPandas())
    try:
        pa.array([None])  # it looks once
    finally:
        sys.meta_path.remove(hidden)
