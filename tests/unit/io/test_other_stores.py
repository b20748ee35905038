"""Addresses beside ``s3://``: Google's store, the Hugging Face hub, and kinds whose package is not there."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.io.cases import survey_cases
from mics_ray.io.input_files import InputError, list_folders
from mics_ray.io.storage import StorageError, locate_address
from mics_ray.models.pictures.reading import PictureError, load_picture
from tests.support.google_store import serve_google_store
from tests.support.hub_server import REPO, serve_hub
from tests.unit.io.test_cases import lines, record
from tests.unit.io.test_input_files import ids

Put = Callable[[str, bytes], str]


@contextmanager
def google() -> Iterator[tuple[Put, Callable[[str], str]]]:
    with serve_google_store() as store:
        yield store.put, store.make_address


@contextmanager
def hub() -> Iterator[tuple[Put, Callable[[str], str]]]:
    with serve_hub() as server:

        def make_address(key: str) -> str:
            return f"hf://{REPO}/{key}"

        def put(key: str, data: bytes) -> str:
            server.files[key] = data
            return make_address(key)

        yield put, make_address


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    values = np.random.default_rng(shade).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    values[0, 0] = shade
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("serve", [google, hub])
def test_cases_and_pictures_are_read_from_it(serve: Callable[[], object]) -> None:
    table = pa.table({"id": ["p"], "question": ["Q?"], "answer": ["A"], "image": [{"bytes": picture(9), "path": None}]})
    held = io.BytesIO()
    pq.write_table(table, held)
    with serve() as (put, make_address):  # type: ignore[attr-defined]
        for key, data in {
            "cases/a b#1.jsonl": lines(record("a"), record("b")).encode(),
            "cases/c.json": json.dumps([record("c")]).encode(),
            "cases/d.parquet": held.getvalue(),
            "cases/below/e.jsonl": lines(record("e")).encode(),
            "cases/my scan #1.png": picture(1),
            "cases/below/2.png": picture(2),
        }.items():
            put(key, data)
        folder = make_address("cases")
        assert ids(make_address("cases/a b#1.jsonl")) == ["a", "b"]
        assert ids(folder) == ["a", "b", "c", "p"]
        assert ids(make_address("cases/**/*.jsonl")) == ["a", "b", "e"]
        assert list_folders(folder) == [folder]
        for path, shade in (("my scan #1.png", 1), ("below/2.png", 2), ("d.parquet#1/1", 9)):
            assert load_picture(CasePictures(folder), path).getpixel((0, 0)) == (shade,) * 3
        for path in ("gone.png", "below/2.png#2"):
            with pytest.raises(PictureError, match=r"no such file|frame 2 of a file of 1"):
                load_picture(CasePictures(folder), path)
        with pytest.raises(InputError, match="no such file"):
            survey_cases(make_address("cases/gone.jsonl"))


def test_what_the_hub_says_is_one_line() -> None:
    with serve_hub():
        for address, said in [
            ("hf://datasets/clinic/nothing/x.jsonl", "no such file"), ("hf://visits", "must be 'namespace/name'"),
            ("hf://datasets/clinic/visits/data/*.jsonl", "no file matches|cannot be listed"),
        ]:  # fmt: skip
            with pytest.raises(InputError, match=said) as refused:
                survey_cases(address)
            assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("az://box/a.jsonl", "Install adlfs"), ("webdav://host/a.jsonl", "webdav4"), ("oss://box/a.jsonl", "ossfs"),
        ("smb://host/a.jsonl", "smbprotocol"), ("sftp://host/a.jsonl", "paramiko"), ("r2://box/a", "no such kind"),
        ("dbfs://host/a.jsonl", "no such kind of address .*'token'"), ("s3://box/a?b.jsonl", "query parameter"),
        ("gs://box/a?access_secret=1", "holds a key"), ("sftp://me:word@host/a", "holds a key"),
        ("ftp://127.0.0.1:1/a.jsonl", "cannot be reached"),
    ],
)  # fmt: skip
def test_a_kind_that_cannot_be_opened_names_what_is_missing(address: str, said: str) -> None:
    with pytest.raises(StorageError, match=said) as refused:
        locate_address(address)
    assert "\n" not in str(refused.value)


def test_googles_client_does_not_try_for_a_quarter_of_an_hour() -> None:
    for options, seconds in (("", 60), ("?retry_limit_seconds=7", 7)):
        system = locate_address(f"gs://anonymous@box/a.jsonl{options}").system
        # What it is made from again is the one place that tells its settings.
        assert system.__reduce__()[1][0]["retry_time_limit"] == timedelta(seconds=seconds)
