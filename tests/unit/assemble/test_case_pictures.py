import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.core.types import Case
from mics_ray.io.cases import read_places, survey_cases
from mics_ray.models.pictures.reading import PictureError, check_picture, load_picture
from tests.support.picture_stores import open_store
from tests.unit.io.test_cases import record
from train.export.pictures import RE_ENCODED

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
KINDS = {
    "list": pa.list_(PICTURE), "one": PICTURE, "large": pa.large_list(PICTURE), "bytes": pa.list_(pa.binary()),
    "one_bytes": pa.binary(), "bare": pa.list_(pa.struct([("bytes", pa.large_binary())])),
}  # fmt: skip


def png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(out, "PNG")
    return out.getvalue()


def write_parquet(path: Path, images: list[Any], kind: pa.DataType, **options: Any) -> None:
    rows = [record(f"c{number}") for number in range(len(images))]
    table = pa.Table.from_pylist(rows).append_column("images", pa.array(images, kind))
    pq.write_table(table, path, **options)


def read_cases(path: Path) -> list[Case]:
    found = [found for span in survey_cases(path).spans for _, found in read_places(span)]
    return [case for case in found if isinstance(case, Case)]


def shades(folder: Path, case: Case) -> list[int]:
    return [load_picture(CasePictures(folder), path).getpixel((0, 0))[0] for path in case.images]  # type: ignore[index]


@pytest.mark.parametrize("name", KINDS)
def test_each_case_is_shown_its_own_pictures(tmp_path: Path, name: str) -> None:
    kind, many = KINDS[name], not name.startswith("one")
    shown = [[number, 255 - number][: 1 + many * (number % 2)] for number in range(50)]
    wrap = (lambda data: data) if "bytes" in name else (lambda data: {"bytes": data, "path": "same.png"})
    cells: list[Any] = [[wrap(png(shade)) for shade in row] for row in shown]
    cells = cells if many else [cell[0] for cell in cells]
    cells[3] = None
    write_parquet(tmp_path / "x.parquet", cells, kind, row_group_size=7)
    cases = read_cases(tmp_path / "x.parquet")
    assert len(cases) == 50
    assert cases[3].images == ()
    assert cases[5].images[0] == "x.parquet#6/1"
    for case in reversed(cases[:3] + cases[4:]):
        assert shades(tmp_path, case) == shown[int(case.id[1:])]


def test_a_path_beside_no_bytes_is_that_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/a.png").write_bytes(png(9))
    cells = [[{"bytes": None, "path": path}] for path in ("below/a.png", "../a.png", "gone.png", None)]
    cells += [[{"bytes": b"", "path": ""}], [None], [{"bytes": b"damaged", "path": None}]]
    write_parquet(tmp_path / "x.parquet", cells, pa.list_(PICTURE))
    first, *others = read_cases(tmp_path / "x.parquet")
    assert shades(tmp_path, first) == [9]
    said = []
    for case in others:
        with pytest.raises(PictureError, match=r"picture 'x.parquet#\d/1': ") as refused:
            check_picture(CasePictures(tmp_path), case.images[0])
        said.append(str(refused.value).partition(": ")[2])
    assert said[:2] == ["a path that leaves the image folder", "no such file"]
    assert all("damaged" in one or "empty" in one or "not a PNG" in one for one in said[2:])


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", [[{"bytes": png(1), "path": None}]], pa.list_(PICTURE))
    write_parquet(tmp_path / "paths.parquet", [["a.png"]], pa.list_(pa.string()))
    (tmp_path / "text.parquet").write_text("PAR1 no Parquet file PAR1")
    pictures = CasePictures(tmp_path)
    for path, said in [
        ("x.parquet#2/1", "no such row"), ("x.parquet#1/2", "no such picture"), ("gone.parquet#1/1", "no such file"),
        ("paths.parquet#1/1", "no column of pictures"), ("text.parquet#1/1", "damaged or cut short"),
        ("../x.parquet#1/1", "leaves the image folder"), ("x.parquet#0/1", "no such file"),
    ]:  # fmt: skip
        with pytest.raises(PictureError, match=said):
            check_picture(pictures, path)


def test_an_export_finds_them(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", [[{"bytes": png(7), "path": "a.png"}]], pa.list_(PICTURE))
    with open_store(tmp_path / "out") as store:
        made = store.export_picture("c0", tmp_path, "x.parquet#1/1")
    assert made.fate == RE_ENCODED
    with Image.open(tmp_path / "out" / made.path) as image:
        assert image.getpixel((0, 0)) == (7, 7, 7)


@pytest.mark.parametrize("name", ["list", "bytes"])
def test_neither_the_cases_nor_one_picture_load_the_file(tmp_path: Path, name: str) -> None:
    draw = np.random.default_rng(0)
    data = [draw.bytes(2**20) for _ in range(80)]
    cells = [[one] if name == "bytes" else [{"bytes": one, "path": "a.png"}] for one in data]
    write_parquet(tmp_path / "x.parquet", cells, KINDS[name], row_group_size=15)
    pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        assert len(read_cases(tmp_path / "x.parquet")) == 80
        with CasePictures(tmp_path).open_picture("x.parquet#79/1") as file:
            assert file.read() == data[78]
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 50 * 2**20, "the file has 80 MB"
