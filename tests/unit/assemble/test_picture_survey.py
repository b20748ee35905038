"""What preflight says of pictures, and its contact sheet."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from mics_ray.assemble.picture_survey import PictureSurvey
from mics_ray.config.schema import PicturesConfig
from mics_ray.core.types import Case
from mics_ray.io.cases import RecordPlace
from tests.support.dicom_files import dicom_file


def test_counts_and_the_sheet(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((600, 300)).save(tmp_path / "a.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "white.png")
    frames = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    dicom_file(tmp_path / "cine.dcm", frames, NumberOfFrames=3)
    survey, problems = PictureSurvey(tmp_path, PicturesConfig(mentor_max_side=512)), []
    for case_id, images in {
        "c1": ("a.png",), "c2": (), "c3": ("white.png",), "c4": ("cine.dcm",), "c5": ("cine.dcm#2-3", "a.png"),
        **{f"more {n}": ("a.png",) for n in range(50)}, "late": ("cine.dcm",),
    }.items():  # fmt: skip
        problems.append(survey.inspect_case(RecordPlace("x.jsonl", "line", 1), Case(case_id, "Q?", "a", images)))
    assert [problem for problem in problems if problem] == [
        "c3: x.jsonl, line 1: picture 'white.png': of one single value"
    ]
    assert list(survey.describe()) == [
        "1 cases without pictures",
        "3 files of several frames (cine, volume, pages)",
        "  of 2 of them ONE frame is shown, for none is named (FILE#42, pictures.frames)",
        "1 cases rejected for a picture of one single value",
    ]
    drawn = survey.draw()
    assert drawn is not None
    sheet = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"), int)
    assert sheet.shape[0] % 12 == 0, "48 tiles are 12 rows of 4"
    tile = sheet[: sheet.shape[0] // 12, : sheet.shape[1] // 4]
    grey = np.asarray(Image.linear_gradient("L").resize((150, 75)), int)
    for left in (8, 8 + 150 + 8):
        assert np.abs(tile[8 : 8 + 75, left : left + 150, 0] - grey).mean() < 3
    assert (tile[160:, :] < 100).any(), "words below"


def test_cases_without_pictures_have_no_sheet(tmp_path: Path) -> None:
    survey = PictureSurvey(tmp_path, PicturesConfig())
    assert survey.inspect_case(RecordPlace("x.jsonl", "line", 1), Case("c", "Q?", "a")) is None
    assert survey.draw() is None
