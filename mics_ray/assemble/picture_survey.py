"""What a job's pictures are, before anything is spent: those that cannot be used, counts, and a contact sheet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.config.schema import PicturesConfig
from mics_ray.core.frames import split_address
from mics_ray.core.types import Case
from mics_ray.io.cases import RecordPlace
from mics_ray.models.pictures.file_formats import PictureError
from mics_ray.models.pictures.frame_files import NamedPicture
from mics_ray.models.pictures.reading import check_picture, encode_picture, read_pictures
from mics_ray.models.pictures.sheet import Tile, draw_sheet
from mics_ray.models.pictures.windows import read_view

ON_SHEET = 48


@dataclass(slots=True)
class PictureSurvey:
    """Looks at the pictures of cases, one case after the other."""

    root: Path | str
    settings: PicturesConfig
    pictures: int = 0
    without: int = 0
    constant: int = 0
    several: int = 0
    unnamed: int = 0
    _tiles: list[Tile] = field(default_factory=list)

    def inspect_case(self, place: RecordPlace, case: Case) -> str | None:
        """Count a case; returns what is wrong with its first picture that cannot be used."""
        self.without += not case.images
        try:
            for path in case.images:
                self._inspect_picture(case.id, path)
        except PictureError as error:
            self.constant += error.constant
            return f"{case.id}: {place}: {error}"
        return None

    def describe(self) -> Iterator[str]:
        """What was counted, one line each; nothing of what there is none of."""
        if self.without:
            yield f"{self.without} cases without pictures"
        if self.several:
            yield f"{self.several} files of several frames (cine, volume, pages)"
        if self.unnamed:
            yield f"  of {self.unnamed} of them ONE frame is shown, for none is named (FILE#42, pictures.frames)"
        if self.constant:
            yield f"{self.constant} cases rejected for a picture of one single value"

    def draw(self) -> bytes | None:
        """The contact sheet as a PNG; ``None`` without pictures."""
        return draw_sheet(self._tiles) if self._tiles else None

    def _inspect_picture(self, case_id: str, path: str) -> None:
        opener, view = CasePictures(self.root), read_view(self.settings)
        if len(self._tiles) < ON_SHEET:
            shown = read_pictures(opener, path, view)
            count = shown[0].count
            self._tiles += [self._make_tile(case_id, one) for one in shown[: ON_SHEET - len(self._tiles)]]
        else:
            count = check_picture(opener, path, view)
        self.pictures += 1
        self.several += count > 1
        self.unnamed += count > 1 and split_address(path)[1] is None and view.frames is None

    def _make_tile(self, case_id: str, picture: NamedPicture) -> Tile:
        image, frame = picture.shown.image, picture.name.rpartition("/")[2]
        sides = self.settings.mentor_max_side, self.settings.intern_max_side
        mentor, intern = (encode_picture(image, side) for side in sides)
        named = split_address(picture.name)[1]
        of = f" of {picture.count}" + ("" if named else ", frame 1") if picture.count > 1 else ""
        return Tile(mentor, intern, (case_id, f"{frame}{of}", f"window {picture.shown.window or 'none: as it is'}"))
