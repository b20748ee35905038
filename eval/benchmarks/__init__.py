"""The benchmarks: a table of readers, and the one way from a benchmark's folder or hub id to checked items."""

from collections.abc import Mapping

from eval.benchmarks.base import Reader, Source, open_source
from eval.benchmarks.cases import read_case_items as cases
from eval.benchmarks.chiron import read_chiron as chiron
from eval.benchmarks.medxpertqa_mm import read_medxpertqa_mm as medxpertqa_mm
from eval.benchmarks.mmmu_med import read_mmmu_med as mmmu_med
from eval.benchmarks.path_vqa import read_vqa_rad as path_vqa
from eval.benchmarks.pmc_vqa import read_pmc_vqa as pmc_vqa
from eval.benchmarks.slake import read_slake as slake
from eval.benchmarks.vqa_rad import read_vqa_rad as vqa_rad
from eval.types import Item
from mics_ray.config.compose import suggest_nearest
from mics_ray.errors import RefusedRun
from mics_ray.models.pictures.file_formats import PictureError, name_errors, open_inside

__all__ = ["READERS", "Reader", "Source", "open_source", "read_items"]

READERS: Mapping[str, Reader] = {
    "vqa_rad": vqa_rad,
    "slake": slake,
    "path_vqa": path_vqa,
    "pmc_vqa": pmc_vqa,
    "mmmu_med": mmmu_med,
    "medxpertqa_mm": medxpertqa_mm,
    "chiron": chiron,
    "cases": cases,
}


def read_items(source: Source) -> list[Item]:
    """All items of a benchmark in their order; afterwards ``source.picture_root`` is where their pictures lie.

    Raises :class:`RefusedRun` for a reader that there is not, a record that cannot be read, an id that is there twice,
    and a picture that is gone.
    """
    reader = READERS.get(source.config.reader)
    if reader is None:
        shown = f"eval.benchmarks.{source.name}.reader: no reader {source.config.reader!r}"
        raise RefusedRun(shown + suggest_nearest(source.config.reader, list(READERS)))
    # All of it: where the pictures lie is settled only when the reader is through.
    found = list(reader(source))
    if not found:
        raise RefusedRun(f"{source.name}: {source.base} holds no items of the split {source.config.split!r}")
    _refuse_repeated_ids(source, found)
    _refuse_lost_pictures(source, found)
    return found


def _refuse_repeated_ids(source: Source, found: list[Item]) -> None:
    seen: set[str] = set()
    for item in found:
        if item.id in seen:
            raise RefusedRun(f"{source.name}: the id {item.id!r} is there twice in {source.base}")
        seen.add(item.id)


def _refuse_lost_pictures(source: Source, found: list[Item]) -> None:
    checked: set[str] = set()
    for item in found:
        # Now and not when it is asked about: hours into an evaluation nobody watches, and the item would count as lost.
        for picture in item.images:
            if picture not in checked and (problem := _picture_problem(source, picture)):
                raise RefusedRun(f"{source.name}: item {item.id!r}: {problem} (looked under {source.picture_root})")
            checked.add(picture)


def _picture_problem(source: Source, picture: str) -> str | None:
    """Why a picture cannot be opened; its content is looked at when it is asked about."""
    try:
        with name_errors(picture):
            open_inside(source.picture_root, picture).close()
    except (PictureError, OSError) as error:
        return str(error)
    return None
