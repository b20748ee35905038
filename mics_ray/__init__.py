"""MICS on Ray: Mentor-Intern Collaborative Search as a distributed job.

What a user imports stands in ``__all__``: the types of a search, its two strategies, the search of one case, a run over
a Ray Dataset, and the rows of a finished run. ``mics_ray.testing`` holds a scripted panel for tests. Everything else is
internal.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mics_ray.commands.dataset_run import generate
    from mics_ray.core.best_of_n import BestOfN
    from mics_ray.core.mics import Mics
    from mics_ray.core.ports import Panel
    from mics_ray.core.search import SearchResult, search_case
    from mics_ray.core.tree import SearchTree
    from mics_ray.core.types import Case, Note, Outcome, Verdict, Vote
    from mics_ray.io.shards.reading import read_rows

__version__ = "0.3.0"

__all__ = [
    "BestOfN",
    "Case",
    "Mics",
    "Note",
    "Outcome",
    "Panel",
    "SearchResult",
    "SearchTree",
    "Verdict",
    "Vote",
    "generate",
    "read_rows",
    "search_case",
]

_HOMES = {
    "mics_ray.commands.dataset_run": ("generate",),
    "mics_ray.core.best_of_n": ("BestOfN",),
    "mics_ray.core.mics": ("Mics",),
    "mics_ray.core.ports": ("Panel",),
    "mics_ray.core.search": ("SearchResult", "search_case"),
    "mics_ray.core.tree": ("SearchTree",),
    "mics_ray.core.types": ("Case", "Note", "Outcome", "Verdict", "Vote"),
    "mics_ray.io.shards.reading": ("read_rows",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: importing any module of the package runs this file, and pyarrow
    (for :func:`read_rows`) must not be loaded by those that only want the search."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    # Kept, so that the next use does not come here.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, for completion in a shell."""
    return sorted([*__all__, "__version__"])
