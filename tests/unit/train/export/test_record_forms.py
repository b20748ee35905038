"""Every form of record and picture, from the input through a search to what InternVL's trainers load from the export.

The contract is that of OpenGVLab/InternVL, `internvl_chat/internvl/train`: the `LazySupervisedDataset` of
`internvl_chat_finetune.py` (SFT) and of `internvl_chat_mpo.py` (MPO). ``INTERNVL_CHECKOUT=CLONE`` runs these classes.
"""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydicom import dcmread

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.assemble.case_search import load_pictures, run_case
from mics_ray.assemble.locations import JUDGE, locate_images
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.config.compose import compose_config
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import Rejection
from mics_ray.io.rows import result_row
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.generation import prepare_generation
from mics_ray.models.pictures.reading import decode_picture
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Pictures, Reply, Request
from tests.support.dicom_files import dicom_file
from tests.support.program import ROOT
from tests.support.run_folders import job, noise
from train.export.export import write_export

OPTIONS = ["Cyst <image>", "Abscess"]
LISTED = "A. Cyst (image)\nB. Abscess"


def write_pictures(folder: Path) -> None:
    """Files of every kind, no picture in two of them."""
    for number, name in enumerate(("a.png", "b.jpg", "c.png", "d.bmp", "e.png", "f.webp", "g.png", "page#2")):
        noise(number).save(folder / name, None if "." in name else "PNG")
    noise(20).convert("L").save(folder / "grey.png")
    Image.fromarray(np.random.default_rng(21).integers(0, 4000, (40, 30)).astype(np.uint16)).save(folder / "16.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(22).save(folder / "turned.jpg", exif=exif)
    veiled = noise(23).convert("RGBA")
    veiled.putalpha(120)
    veiled.save(folder / "veiled.png")
    noise(24).save(folder / "pages.tif", save_all=True, append_images=[noise(25), noise(26)])
    volume = np.random.default_rng(27).integers(-1000, 400, (40, 32, 32)).astype(np.int16)
    volume[0] = -1000
    dicom_file(folder / "ct.dcm", volume, NumberOfFrames=40, Modality="CT", RescaleSlope=1, RescaleIntercept=0)
    brain = np.random.default_rng(28).integers(0, 900, (20, 24, 6)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(brain, np.diag([1, 1, 2, 1])), folder / "brain.nii.gz")
    cells = [[noise(30), noise(31)], [noise(32)], [noise(33)]]
    held = [[{"bytes": encode(one), "path": None} for one in cell] for cell in cells]
    held[2].append({"bytes": None, "path": "g.png"})
    rows = [{"id": f"hub-{at}", "question": f"Hub {at}?", "answer": "Gold"} for at in range(3)]
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.Table.from_pylist(rows).append_column("images", pa.array(held, kind))
    pq.write_table(table, folder / "hub.parquet", row_group_size=2)


def encode(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def said(*texts: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant"), texts, strict=True)]


def flat(case_id: str, **more: Any) -> dict[str, Any]:
    return {"id": case_id, "question": f"{case_id}?", "answer": "Gold", **more}


# Of each record: what it is, and how many pictures models are to see.
RECORDS: list[tuple[dict[str, Any], int]] = [
    ({"rid": "own", "messages": said("**Question:** Own?", "**Correct Answer:** Gold"),
      "images": ["a.png", "b.jpg", "16.png", "turned.jpg", "veiled.png", "grey.png"]}, 6),
    (flat("frames", images=["ct.dcm#10-40:15"]), 3),
    (flat("cine", image="ct.dcm"), 1),
    (flat("mixed", images=["pages.tif#3", "page#2", "ct.dcm#2", "pages.tif#1"]), 4),
    (flat("slices", images=["brain.nii.gz#3-5:2", "brain.nii.gz#coronal:7"]), 3),
    (flat("choice", answer="B", options=OPTIONS, img="c.png"), 1),
    (flat("golds", answer=None, answers=["Gold", "Silver"], picture="d.bmp"), 1),
    ({"id": "shared", "image": "e.png", "conversations": [{"from": "human", "value": "<image>\nShared?"},
      {"from": "gpt", "value": "Gold"}]}, 1),
    ({"id": "parts", "messages": said([{"type": "image", "image": "f.webp"}, "Parts?"], "Gold")}, 1),
    (flat("places", question="Is <image> older than <image>?", images=["g.png", "c.png"]), 2),
    (flat("text"), 0),
]  # fmt: skip
HUB = {"hub-0": 2, "hub-1": 1, "hub-2": 2}
COUNTS = {str(record.get("rid", record.get("id"))): count for record, count in RECORDS} | HUB


class Scripted:
    """A model whose first mentor is always right; keeps the pixels of the pictures that interns were sent, by case."""

    def __init__(self, first: str) -> None:
        self.first, self.case, self.sent = first, "", dict[str, list[str]]()

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        if request.entry == JUDGE:
            return Reply("Yes" if "good" in request.text.rpartition("chosen")[2] else "No")
        if request.entry.startswith("tiny"):
            self.sent[self.case] = [digest(decode_picture(data)) for data in pictures.files] if pictures else []
            return Reply(f"### The final answer is: {'good' if 'first' in request.text else 'bad'}")
        name = "first" if request.entry == self.first else "other"
        return Reply(f"### Step 1: The {name} looks at it.\n\n### The final answer is: chosen")


def digest(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.size}".encode() + image.convert("RGB").tobytes()).hexdigest()


def search(folder: Path, cases: str, *more: str) -> dict[str, list[str]]:
    """A finished run in ``folder/run`` without Ray; what pictures the interns of each case were sent."""
    config = compose_config(["experiment=demo", f"data.cases={cases}", f"run.dir={folder}/run", *more])
    model = Scripted(next(iter(config.mentors)))
    cast = PanelBuilder(config, dict.fromkeys([*config.mentors, *config.interns, JUDGE], model))
    with prepare_generation(config) as prepared:
        rows = []
        for place, record in prepared.iter_pending():
            assert not isinstance(record, Rejection), record.reason
            pictured = load_pictures(config, locate_images(config), place, record)
            assert not isinstance(pictured, Rejection), pictured.reason
            model.case = record.id
            panel = cast.build_panel(pictured.mentor, pictured.intern, UsageMeter())
            strategy = build_strategy(config.search, tuple(config.mentors))
            result = asyncio.run(run_case(config, strategy, pictured.case, panel))
            rows.append(result_row(result, {}, 1.0, prepared.stamp))
        ShardStore(prepared.folder.results).commit(rows)
    return model.sent


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def load_as_trainers_do(meta: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Id, what the human says and the pixels of every record of a meta file's data sets."""
    for entry in json.loads(meta.read_text()).values():
        for record in lines(Path(entry["annotation"])):
            images = record.get("image", [])
            assert images or "image" not in record
            asked = record["question"] if "question" in record else record["conversations"][0]["value"]
            assert asked.count("<image>") == len(images)
            opened = [Image.open(os.path.join(entry["root"], image)) for image in images]
            assert {image.format for image in opened} <= {"PNG", "JPEG"}
            assert all(image.mode in ("RGB", "L") and not image.getexif() for image in opened)
            yield record["id"], asked, [digest(image) for image in opened]


def check_export(folder: Path, sent: Mapping[str, list[str]]) -> dict[str, str]:
    """That every record of every form shows what its case was sent; returns what the human says, by case."""
    asked, forms = {}, defaultdict(set)
    for form in ("chains", "steps_mpo", "chains_mpo"):
        for name, text, pictures in load_as_trainers_do(folder / f"meta/{form}.json"):
            case_id = name.partition("#")[0]
            assert pictures == sent[case_id], (form, name)
            forms[form].add(case_id)
            asked[case_id] = text
    assert all(found == set(sent) for found in forms.values()), forms
    return asked


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """The export of one run of all forms, and what was sent."""
    folder = tmp_path_factory.mktemp("forms")
    write_pictures(folder)
    (folder / "cases.jsonl").write_text("".join(json.dumps(record) + "\n" for record, _ in RECORDS))
    sent = search(folder, f"[{folder}/cases.jsonl,{folder}/hub.parquet]")
    write_export(job(folder / "run", folder / "out"))
    return folder, sent


def test_every_form_is_exported_with_its_own_pictures_in_their_places(made: tuple[Path, dict[str, list[str]]]) -> None:
    folder, sent = made
    assert {case_id: len(pictures) for case_id, pictures in sent.items()} == COUNTS
    everything = [one for pictures in sent.values() for one in pictures]
    assert len(set(everything)) == len(everything) - 2, "c.png and g.png are in two cases, everything else in one"
    asked = check_export(folder / "out", sent)
    assert LISTED in asked["choice"]
    assert "Is picture 1 older than picture 2?" in asked["places"]
    assert "Picture 1: frame 10\nPicture 2: frame 25\nPicture 3: frame 40" in asked["frames"]
    assert "Picture 1: frame 21" in asked["cine"], "frame 1 is of one single value"
    assert "Picture 1: frame 3\nPicture 2: frame 5\nPicture 3: coronal slice 7" in asked["slices"]
    assert all("<image" not in text.replace("<image>\n", "") for text in asked.values())


def test_the_pictures_at_an_address_are_exported_as_they_were_sent(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path), "/forms", recursive=True)
    store.pipe("/forms/cases.jsonl", "".join(json.dumps(record) + "\n" for record, _ in RECORDS).encode())
    root = "memory://forms"
    sent = search(tmp_path, f"['{root}/cases.jsonl','{root}/hub.parquet']", f"data.image_root='{root}'")
    write_export(job(tmp_path / "run", tmp_path / "out"))
    assert {case_id: len(pictures) for case_id, pictures in sent.items()} == COUNTS
    check_export(tmp_path / "out", sent)


def test_an_export_shows_the_window_and_the_frames_that_the_run_asked_for(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    records = [flat("ct", image="ct.dcm"), flat("pages", image="pages.tif"), flat("named", image="ct.dcm#3")]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    asked = ("pictures.window=-500/300", "pictures.frames=2-9:7")
    sent = search(tmp_path, f"{tmp_path}/cases.jsonl", *asked)
    assert {case_id: len(pictures) for case_id, pictures in sent.items()} == {"ct": 2, "pages": 1, "named": 1}
    write_export(job(tmp_path / "run", tmp_path / "out"))
    said = check_export(tmp_path / "out", sent)
    assert "Picture 1: frame 2\nPicture 2: frame 9" in said["ct"]
    (shown,) = (one for one in lines(tmp_path / "out/train.jsonl") if one["id"] == "named")
    with Image.open(tmp_path / "out" / shown["image"][0]) as image:
        values = dcmread(tmp_path / "ct.dcm").pixel_array[2]
        assert np.array_equal(np.asarray(image)[..., 0] == 0, values <= -649)


def test_a_parquet_file_whose_rows_have_moved_since_the_search_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    search(tmp_path, f"{tmp_path}/hub.parquet")
    write_export(job(tmp_path / "run", tmp_path / "out"))
    table = pq.read_table(tmp_path / "hub.parquet")
    pq.write_table(table.slice(1), tmp_path / "hub.parquet")
    with pytest.raises(RefusedRun, match=r"record hub-0: hub.parquet#1/1 is the picture of another record"):
        write_export(job(tmp_path / "run", tmp_path / "out"))
    pq.write_table(table.set_column(0, "id", pa.array([7, None, 9])), tmp_path / "hub.parquet")
    owners = [CasePictures(tmp_path).find_owner(name) for name in ("hub.parquet#1/1", "hub.parquet#2/1", "a.png")]
    assert owners == ["7", None, None]


@pytest.mark.skipif("INTERNVL_CHECKOUT" not in os.environ, reason="INTERNVL_CHECKOUT: a clone of OpenGVLab/InternVL")
@pytest.mark.parametrize(("form", "kind"), [("chains", "sft"), ("steps_mpo", "mpo"), ("chains_mpo", "mpo")])
def test_upstreams_own_class_loads_every_record_as_itself(
    made: tuple[Path, dict[str, list[str]]], form: str, kind: str
) -> None:
    folder, sent = made
    chat = Path(os.environ["INTERNVL_CHECKOUT"]) / "internvl_chat"
    program = [
        sys.executable,
        str(ROOT / "tests/support/read_as_internvl.py"),
        str(chat),
        f"{folder}/out/meta/{form}.json",
        kind,
    ]
    done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= len(sent), done.stderr[-3000:]
    for one in found:
        case_id = one["id"].partition("#")[0]
        assert not one["replaced"], done.stderr[-3000:]
        assert one["pictures"] == sent[case_id]
        assert (one["flags"] == one["tiles"]) is bool(sent[case_id])
        for text in one["texts"] if kind == "mpo" else one["texts"][:1]:
            assert text.count("<img>") == len(sent[case_id])
        assert all("looks at it" in text for text in one["texts"])
    assert {one["id"].partition("#")[0] for one in found} == set(sent)
