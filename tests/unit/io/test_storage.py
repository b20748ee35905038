import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import read_places, survey_cases
from mics_ray.io.input_files import InputError, list_folders
from mics_ray.io.storage import StorageError, locate_address, read_object
from mics_ray.models.pictures.reading import PictureError, load_picture
from tests.support.dicom_files import dicom_file
from tests.support.object_store import ObjectStore, serve_objects
from tests.support.picture_stores import open_store
from tests.unit.io.test_cases import lines, record
from tests.unit.io.test_input_files import ids
from train.export.config import ImageMode

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with serve_objects() as found:
        yield found


def test_cases_in_an_object_store_are_read_as_files_are(store: ObjectStore, tmp_path: Path) -> None:
    rows = [record(f"c{number}") for number in range(300)]
    text = lines(*rows).encode()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet", row_group_size=100)
    files = {
        "a.jsonl": text, "b.json": json.dumps(rows).encode(), "c.jsonl.gz": gzip.compress(text),
        "c.json.gz": gzip.compress(json.dumps(rows).encode()), "d.parquet": (tmp_path / "d.parquet").read_bytes(),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        address = store.put(f"one/{name}", data)
        assert ids(address) == [f"c{number}" for number in range(300)]
        survey = survey_cases(address)
        assert survey.sha256 == survey_cases(tmp_path / name).sha256, "a run goes on with the same bytes elsewhere"
        backwards = [[found.id for _, found in read_places(span)] for span in reversed(survey.spans)]
        assert [one for part in reversed(backwards) for one in part] == [f"c{number}" for number in range(300)]


def test_folders_patterns_and_lists_of_addresses(store: ObjectStore, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "below/c.jsonl"):
        store.put(f"many/{name}", lines(record(name), "{").encode())
    store.put("many/_SUCCESS", b"x")
    folder, pattern = store.make_address("many"), store.make_address("many/**/*.json[l]")
    assert ids(folder) == ["a.jsonl", "line-1-2", "b.jsonl", "line-2-2"]
    assert ids(pattern)[::2] == ["a.jsonl", "b.jsonl", "below/c.jsonl"]
    found = [item for span in survey_cases(pattern).spans for _, item in read_places(span)]
    assert "below/c.jsonl, line 2: broken JSON" in found[-1].reason  # type: ignore[union-attr]
    assert list_folders(folder) == [folder]
    assert list_folders(pattern) == [folder, store.make_address("many/below")]
    (tmp_path / "here.jsonl").write_text(lines(record("here")))
    assert ids([store.make_address("many/b.jsonl"), str(tmp_path / "here.jsonl")]) == ["b.jsonl", "line-1-2", "here"]


def test_what_is_not_there_is_refused(store: ObjectStore) -> None:
    store.put("odd/empty.jsonl", b"")
    store.put("odd/x.txt", b"x")
    for key, said in [
        ("odd/gone.jsonl", "no such file"), ("odd/empty.jsonl", "empty"), ("odd", "no .jsonl, .ndjson"),
        ("odd/*.parquet", "no file matches"),
    ]:  # fmt: skip
        if key == "odd":
            store.system.delete_file("cases/odd/empty.jsonl")
        with pytest.raises(InputError, match=said):
            survey_cases(store.make_address(key))
    for address, said in [
        ("s3://key:canary@cases/a.jsonl", "holds a key"), ("nowhere://x/a.jsonl", "no such kind of address"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=said) as refused:
            survey_cases(address)
        assert "canary" not in str(refused.value)


def picture(shade: int, side: int = 300) -> bytes:
    out = io.BytesIO()
    values = np.random.default_rng(shade).integers(0, 255, (side, side, 3)).astype(np.uint8)
    values[0, 0] = shade
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def test_pictures_in_an_object_store(store: ObjectStore) -> None:
    for shade in (1, 2):
        store.put(f"pictures/below/{shade}.png", picture(shade))
    store.put("pictures/empty.png", b"")
    cell = [{"bytes": picture(9), "path": None}, {"bytes": None, "path": "below/1.png"}]
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    out = io.BytesIO()
    pq.write_table(pa.table({"images": pa.array([cell], kind)}), out)
    store.put("pictures/x.parquet", out.getvalue())
    pictures = CasePictures(store.make_address("pictures"))
    for path, shade in (("below/1.png", 1), ("below/2.png", 2), ("x.parquet#1/1", 9), ("x.parquet#1/2", 1)):
        assert load_picture(pictures, path).getpixel((0, 0)) == (shade,) * 3
    for path, said in [
        ("gone.png", "no such file"), ("gone.parquet#1/1", "no such file"), ("empty.png", "empty file"),
        ("../one/a.jsonl", "leaves the image folder"), ("s3://other/1.png", "a URL"), ("below", "no such file"),
    ]:  # fmt: skip
        with pytest.raises(PictureError, match=said):
            load_picture(pictures, path)


NAMES = (
    "my scan.png",
    "100%.png",
    "%41.png",
    "Röntgen.png",
    "a+b&c=d.png",
    "[x]{y}.png",
    "a#b.png",
    "page#2",
    "it's.png",
)


def test_names_of_objects_are_taken_as_they_are(store: ObjectStore, tmp_path: Path) -> None:
    for shade, name in enumerate(NAMES, 1):
        store.put(f"odd names #1/{name}", picture(shade))
    root = store.make_address("odd names #1")
    for shade, name in enumerate(NAMES, 1):
        assert load_picture(CasePictures(root), name).getpixel((0, 0)) == (shade,) * 3, name
    volume = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    dicom_file(tmp_path / "ct.dcm", volume, NumberOfFrames=3)
    store.put("odd names #1/ct.dcm", (tmp_path / "ct.dcm").read_bytes())
    for number in (1, 2, 3):
        shown = load_picture(CasePictures(root), f"ct.dcm#{number}")
        assert np.array_equal(np.asarray(shown)[..., 0], volume[number - 1]), "frame of a file, not its first one"
    for name in ("a b#1.jsonl", "%41.jsonl", "ü.jsonl"):
        store.put(f"odd names #1/{name}", lines(record(name)).encode())
        assert ids(store.make_address(f"odd names #1/{name}")) == [name]
    assert ids(root) == ["%41.jsonl", "a b#1.jsonl", "ü.jsonl"]
    assert ids(store.make_address("odd names #1/*b#1.jsonl")) == ["a b#1.jsonl"]


def test_an_export_reads_pictures_from_an_object_store(store: ObjectStore, tmp_path: Path) -> None:
    store.put("export/1.png", picture(3))
    with open_store(tmp_path, ImageMode.reference) as pictures:
        made = pictures.export_picture("a", store.make_address("export"), "1.png")
        with Image.open(tmp_path / made.path) as image:
            assert image.getpixel((0, 0)) == (3, 3, 3)
        with pytest.raises(RefusedRun, match=r"record a: picture 'gone.png': no such file"):
            pictures.export_picture("a", store.make_address("export"), "gone.png")


def test_a_connection_that_is_cut_midway_is_tried_again(store: ObjectStore) -> None:
    data = picture(5)
    assert len(data) > 2 * store.cut_after
    store.put("cut/a.png", data)
    store.cuts = 1
    assert read_object(store.make_address("cut"), "a.png", 10**9) == data
    assert store.cuts == 0, "one was cut"


@pytest.mark.slow
def test_connections_that_are_cut_every_time_are_named(store: ObjectStore) -> None:
    store.put("cut/a.png", picture(5))
    cases = store.put("cut/a.jsonl", lines(*(record(n, "Q" * 1000) for n in range(400))).encode())
    store.cuts = 10**6
    try:
        with pytest.raises(PictureError, match=r"'a.png': cannot be read from its address"):
            load_picture(CasePictures(store.make_address("cut")), "a.png")
        with pytest.raises(InputError, match=r"cannot be read"):
            survey_cases(cases)
    finally:
        store.cuts = 0


def test_what_fsspec_alone_knows_is_read_through_it() -> None:
    with fsspec.open("memory://folder/a.jsonl", "wb") as out:
        out.write(lines(record("a"), record("b")).encode())
    assert ids("memory://folder/a.jsonl") == ids("memory://folder") == ["a", "b"]
    with pytest.raises(StorageError, match="more than 0 MB"):
        read_object("memory://folder", "a.jsonl", 5)


def test_an_address_is_located_once(store: ObjectStore) -> None:
    address = store.make_address("many")
    assert locate_address(address) is locate_address(address)
