import io
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from mics_ray.errors import RefusedRun
from tests.support.searched_samples import sample, samples
from train.export.forms import hub
from train.export.samples import Sample

CARD: Mapping[str, object] = {
    "license": "cc-by-4.0",
    "models": {"mentors": ["gpt", "qwen"], "interns": {"a": "tiny", "b": "small"}, "judge": "seek"},
    "counts": {"outcome": {"solved": 2, "depth": 1}, "quality": {"keep": 3}, "dropped": 4},
    "config_digest": "d1gest",
    "code_version": "v1",
}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export with the samples' pictures, each of its own noise."""
    for number, image in enumerate(image for one in samples() for image in one.images):
        path = tmp_path / "export" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (5, 7 + number, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return tmp_path / "export"


def write(folder: Path, train: Sequence[Sample], validation: Sequence[Sample], card: Mapping[str, object]) -> None:
    with hub.open_dataset(folder) as dataset:
        for split, some in ((hub.TRAIN, train), (hub.VALIDATION, validation)):
            for one in some:
                dataset.add_sample(split, one)
        dataset.finish(card)


def load(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def header(folder: Path) -> dict[str, Any]:
    loaded = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert isinstance(loaded, dict)
    return loaded


def test_both_splits_load_with_every_picture_as_it_is(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, validation = samples()[:2], samples()[2:]
    write(export / "dataset", train, validation, CARD)
    found = load(export / "dataset", tmp_path, monkeypatch)
    assert set(found) == {"train", "validation"}
    for split, some in (("train", train), ("validation", validation)):
        assert [row["id"] for row in found[split]] == [one.id for one in some]
        for row, one in zip(found[split], some, strict=True):
            pixels = [np.asarray(picture) for picture in row.pop("images")]
            stored = [np.asarray(Image.open(export / image)) for image in one.images]
            assert len(pixels) == len(stored)
            assert all(np.array_equal(left, right) for left, right in zip(pixels, stored, strict=True))
            assert row == {
                "id": one.id,
                "question": one.question,
                "context": one.context,
                "answer": one.answer,
                "other_answers": list(one.other_answers),
                "steps": list(one.steps),
                "final_answer": one.final_answer,
                "reasoning": one.completion,
                "score": one.score,
                "quality": one.quality,
                "rounds": one.rounds,
                "mentors": list(one.mentors),
            }


def test_the_folder_stands_without_the_export(export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(export / "dataset", samples(), (), CARD)
    pixels = np.asarray(Image.open(io.BytesIO((export / samples()[0].images[1]).read_bytes())))
    moved = (export / "dataset").rename(tmp_path / "elsewhere")
    export.rename(tmp_path / "gone")
    found = load(moved, tmp_path, monkeypatch)
    assert set(found) == {"train"}
    assert np.array_equal(np.asarray(found["train"][0]["images"][1]), pixels)


def test_a_large_split_is_cut_into_files_and_loads_in_order(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_ROWS_A_FILE", 3)
    monkeypatch.setattr(hub, "_ROWS_A_GROUP", 2)
    many = [sample(id=f"s{number}") for number in range(7)]
    write(export / "dataset", many, (), CARD)
    assert header(export / "dataset")["configs"][0]["data_files"] == [
        {"split": "train", "path": [f"data/train-{number:05d}.parquet" for number in range(3)]}
    ]
    found = load(export / "dataset", tmp_path, monkeypatch)
    assert found["train"]["id"][:] == [one.id for one in many]


def test_the_card_says_where_the_data_comes_from(export: Path) -> None:
    write(export / "dataset", samples()[:2], samples()[2:], CARD)
    top = header(export / "dataset")
    assert (top["license"], top["size_categories"]) == ("cc-by-4.0", ["n<1K"])
    assert top["task_categories"] == ["visual-question-answering", "image-text-to-text"]
    text = (export / "dataset" / "README.md").read_text()
    for line in (
        "2 train samples, 1 validation samples",
        "code version v1, configuration d1gest. Licence: cc-by-4.0.",
        "- mentors: gpt, qwen\n- interns: a tiny, b small\n- judge: seek",
        "- outcome: solved 2, depth 1\n- quality: keep 3\n- dropped: 4",
        "no clinician has checked",
    ):
        assert line in text


@pytest.mark.parametrize(("total", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (10**6, "n>1M")])
def test_the_size_category_is_the_hubs(total: int, name: str) -> None:
    assert hub._card_header({}, total, {})["size_categories"] == [name]


def test_what_is_not_known_is_called_so(export: Path) -> None:
    write(export / "dataset", samples(), (), {"license": None, "models": {"judge": None}})
    text = (export / "dataset" / "README.md").read_text()
    assert header(export / "dataset")["license"] == "unknown"
    assert "code version unknown, configuration unknown. Licence: unknown." in text
    assert "- judge: unknown" in text


def test_a_picture_that_is_gone_is_named_with_its_sample(export: Path) -> None:
    (export / "images/bb/bb2.png").unlink()
    with pytest.raises(RefusedRun, match=r"run/case-1: its picture .*images/bb/bb2\.png is gone"):
        write(export / "dataset", samples(), (), CARD)


@pytest.mark.parametrize("mask", [0, 0o777])
def test_only_the_owner_can_read_it(export: Path, mask: int) -> None:
    usual = os.umask(mask)
    try:
        write(export / "dataset", samples(), (), CARD)
    finally:
        os.umask(usual)
    written = [export / "dataset", *(export / "dataset").rglob("*")]
    assert {path.name for path in written} == {"dataset", "data", "README.md", "train-00000.parquet"}
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
