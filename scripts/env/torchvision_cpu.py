"""Lets a CUDA build of torchvision be imported beside a CPU build of torch.

torchvision registers shapes for the operators ``nms`` and ``qnms``, which only its compiled extension defines; where
that extension cannot be loaded, the import of torchvision ends in an error, although its pure Python transforms would
work. ``install`` puts a finder in front of the import system that acts on one module, ``torchvision.extension``: once
that has been executed and has no operators, the two schemas are defined by hand. A working extension stays as it is.

Standard library only until that moment: ``install_hook.py`` makes every process of the environment run ``install``.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_TARGET = "torchvision.extension"
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_fragments: list[object] = []  # a torch.library.Library takes its schemas along when it is collected


def define_missing_operators(extension: "ModuleType") -> bool:
    """Define the two schemas when ``extension`` (an executed torchvision.extension) has no operators; True if so."""
    if extension._has_ops():
        return False
    from torch import library as torch_library

    library: Any = torch_library
    fragment = library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        fragment.define(schema)
    _fragments.append(fragment)
    return True


class ExtensionFinder:
    """Meta path finder for ``torchvision.extension`` alone: the ordinary spec, with a step after the execution."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return the wrapped spec of ``torchvision.extension``, None for every other name."""
        if name != _TARGET:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: "ModuleType") -> None:
            execute(module)
            define_missing_operators(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Put the finder first on ``sys.meta_path``, once."""
    if not any(isinstance(finder, ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, ExtensionFinder())
