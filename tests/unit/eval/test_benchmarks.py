"""Each reader on a small look-alike of its data set's own files."""

import csv
import io
import json
import shutil
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from eval.benchmarks import READERS, open_source, read_items
from eval.config import BenchmarkConfig, EvaluateJob
from eval.scoring.reading import read_reply
from eval.scoring.rules import check_by_rule, make_judge_case, question_text
from eval.types import Item, Kind
from mics_ray.config.compose import CONF, compose_job, list_choices
from mics_ray.core.types import Case, Verdict
from mics_ray.errors import RefusedRun

SAMPLE = CONF.parents[1] / "shared" / "data" / "vqa_sample"
SUBJECTS = ["Basic_Medical_Science", "Clinical_Medicine"]


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


def embedded(shade: int | None) -> dict[str, Any] | None:
    """A picture as the hub's Parquet files hold it."""
    return None if shade is None else {"bytes": png(shade), "path": "x.png"}


@cache
def shipped(name: str) -> BenchmarkConfig:
    """The configuration in `conf/eval`."""
    job = compose_job("evaluate", EvaluateJob, [f"eval={name}", "judge=local", "model=x", "eval.dir=x"])
    return job.eval.benchmarks[name]


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def read(root: Path, name: str, config: BenchmarkConfig | None = None) -> tuple[list[Item], Path]:
    source = open_source(name, config or shipped(name), str(root), root / "out")
    return read_items(source), source.picture_root


RAD = [
    {"image": embedded(1), "question": "is there evidence of an aortic aneurysm?", "answer": "yes"},
    {"image": embedded(1), "question": "what plane is this?", "answer": "axial"},
    {"image": embedded(2), "question": "<image> Is it normal?", "answer": "No"},
]


@pytest.mark.parametrize("name", ["vqa_rad", "path_vqa"])
def test_parquet_with_embedded_pictures(tmp_path: Path, name: str) -> None:
    parquet(tmp_path / name / "data" / "test-00000-of-00002.parquet", RAD[:2])
    parquet(tmp_path / name / "data" / "test-00001-of-00002.parquet", RAD[2:])
    parquet(tmp_path / name / "data" / "train-00000-of-00001.parquet", RAD)
    found, root = read(tmp_path, name)
    assert [(one.id, one.kind, one.question, one.answer) for one in found] == [
        ("0", Kind.CLOSED, "is there evidence of an aortic aneurysm?", "yes"),
        ("1", Kind.OPEN, "what plane is this?", "axial"),
        ("2", Kind.CLOSED, "Is it normal?", "No"),
    ]
    assert [(root / one.images[0]).read_bytes() for one in found] == [png(1), png(1), png(2)]
    assert found[0].cluster == found[1].cluster != found[2].cluster
    assert (root.stat().st_mode & 0o777, (root / found[0].images[0]).stat().st_mode & 0o777) == (0o700, 0o600)
    assert read(tmp_path, name)[0] == found


def slake(root: Path, **changes: Any) -> None:
    """Four records, the third of them Chinese; ``changes`` are of the last one."""
    row = {"img_id": 102, "img_name": "xmlab102/source.jpg", "location": "Lung", "modality": "CT", "q_lang": "en"}
    closed = row | {"answer_type": "CLOSED", "content_type": "Abnormality", "base_type": "vqa"}
    rows = [
        closed | {"qid": 1, "answer_type": "OPEN", "question": "What modality?", "answer": "CT"},
        closed | {"qid": 2, "question": "Is it healthy?", "answer": "No", "triple": ["vhead", "_", "_"]},
        closed | {"qid": 3, "q_lang": "zh", "question": "健康吗?", "answer": "不"},
        closed | {"qid": 4, "question": "Left or right?", "answer": "Left", "img_name": "xmlab7/source.jpg"} | changes,
    ]
    write(root / "slake" / "test.json", json.dumps(rows))


def test_slake_reads_the_english_items_with_pictures_beside(tmp_path: Path) -> None:
    slake(tmp_path)
    for name in ("xmlab102", "xmlab7"):
        write(tmp_path / "slake" / "imgs" / name / "source.jpg", png(3))
    found, root = read(tmp_path, "slake")
    first, second = "xmlab102/source.jpg", "xmlab7/source.jpg"
    rest = ("CT", "Abnormality")
    assert found == [
        Item("1", Kind.OPEN, "What modality?", "CT", (), (f"imgs/{first}",), first, *rest),
        Item("2", Kind.CLOSED, "Is it healthy?", "No", (), (f"imgs/{first}",), first, *rest),
        Item("4", Kind.CLOSED, "Left or right?", "Left", (), (f"imgs/{second}",), second, *rest),
    ]
    assert root == tmp_path / "slake"


def test_pictures_in_a_zip_file_are_unpacked_as_far_as_they_are_asked_for(tmp_path: Path) -> None:
    slake(tmp_path)
    with zipfile.ZipFile(tmp_path / "slake" / "imgs.zip", "w") as archive:
        for name in (
            "imgs/",
            "imgs/xmlab102/source.jpg",
            "imgs/xmlab7/source.jpg",
            "imgs/xmlab8/source.jpg",
            "../evil",
        ):
            archive.writestr(name, b"" if name.endswith("/") else png(4))
    found, root = read(tmp_path, "slake")
    assert [one.images for one in found] == [("xmlab102/source.jpg",), ("xmlab102/source.jpg",), ("xmlab7/source.jpg",)]
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == ["xmlab102/source.jpg", "xmlab7/source.jpg"]
    (tmp_path / "slake" / "imgs.zip").unlink()
    assert read(tmp_path, "slake")[0] == found  # what is unpacked is not asked for again


def test_a_damaged_zip_file_is_named(tmp_path: Path) -> None:
    slake(tmp_path)
    write(tmp_path / "slake" / "imgs.zip", b"PK\x03\x04 cut off")
    with pytest.raises(RefusedRun, match=r"imgs\.zip: not a whole zip file"):
        read(tmp_path, "slake")


def pmc(root: Path, **changes: str) -> None:
    row = {
        "Figure_path": "PMC1064097_F1.jpg", "Question": "What is the uptake pattern?", "Answer": "Focal uptake pattern",
        "Choice A": "A:Diffuse uptake pattern", "Choice B": " B:Focal uptake pattern ", "Choice C": "C: None",
        "Choice D": "D:Cannot, be determined", "Answer_label": "B",
    }  # fmt: skip
    file = io.StringIO()
    table = csv.DictWriter(file, list(row))
    table.writeheader()
    table.writerows([row, row | {"Question": "Second?", "Answer_label": "C"} | changes])
    write(root / "pmc_vqa" / "test_clean.csv", file.getvalue())
    write(root / "pmc_vqa" / "images" / "PMC1064097_F1.jpg", png(5))


def test_pmc_vqa_reads_choices_from_csv(tmp_path: Path) -> None:
    pmc(tmp_path)
    found, _ = read(tmp_path, "pmc_vqa")
    options = ("Diffuse uptake pattern", "Focal uptake pattern", "None", "Cannot, be determined")
    assert found[0] == Item(
        *("0", Kind.CHOICE, "What is the uptake pattern?", "B", options, ("images/PMC1064097_F1.jpg",)),
        cluster="PMC1064097_F1.jpg",
    )
    assert (found[1].id, found[1].answer, found[1].cluster) == ("1", "C", "PMC1064097_F1.jpg")


def mmmu(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"validation_Clinical_Medicine_{number}", "question": "Look at <image 1>. What is it?",
        "options": "['Gout', \"Crohn's disease\", 'Cyst', 'None']", "explanation": "", "img_type": "['CT', 'MRI']",
        "answer": "B", "topic_difficulty": "Easy", "question_type": "multiple-choice", "subfield": "Radiology",
        **{f"image_{place}": embedded(9 if place == 1 else None) for place in range(1, 8)},
    } | changes  # fmt: skip


def test_mmmu_reads_the_subjects_with_several_pictures(tmp_path: Path) -> None:
    several = {"question": "Is <image 1> older than <image 2>?", "options": "['<image 1>', '<image 2>']", "answer": "A"}
    rows = [
        mmmu(1),
        mmmu(2, **several, image_2=embedded(10)),
        mmmu(3, question_type="open", options="[]", answer="['0.5', '1/2']"),
    ]
    parquet(tmp_path / "mmmu_med" / SUBJECTS[0] / "validation-00000-of-00001.parquet", [mmmu(4)])
    parquet(tmp_path / "mmmu_med" / SUBJECTS[1] / "validation-00000-of-00001.parquet", rows)
    found, root = read(tmp_path, "mmmu_med", replace(shipped("mmmu_med"), config=SUBJECTS))
    assert [(one.id[-1], one.topic, one.kind, one.answer, len(one.images)) for one in found] == [
        ("4", SUBJECTS[0], Kind.CHOICE, "B", 1),
        ("1", SUBJECTS[1], Kind.CHOICE, "B", 1),
        ("2", SUBJECTS[1], Kind.CHOICE, "A", 2),
        ("3", SUBJECTS[1], Kind.OPEN, "0.5", 1),
    ]
    assert [one.others for one in found] == [(), (), (), ("1/2",)]
    assert (found[1].question, found[1].options) == (
        "Look at the picture. What is it?",
        ("Gout", "Crohn's disease", "Cyst", "None"),
    )
    assert (found[2].question, found[2].options) == ("Is picture 1 older than picture 2?", ("picture 1", "picture 2"))
    assert [(root / name).read_bytes() for name in found[2].images] == [png(9), png(10)]
    assert (found[1].modality, found[1].cluster) == ("CT, MRI", found[0].images[0])
    assert "<image" not in question_text(found[2])


def test_mmmu_test_takes_the_answers_that_the_set_keeps_back_from_a_file(tmp_path: Path) -> None:
    rows = [mmmu(1, answer="?"), mmmu(2, answer="?", question_type="open", options="[]"), mmmu(3, answer="C")]
    parquet(tmp_path / "mmmu_med" / SUBJECTS[0] / "test-00000-of-00001.parquet", rows)
    config = replace(shipped("mmmu_med"), config=SUBJECTS[:1], split="test")
    assert "record 1: 'answer' is kept back by the set; give it in answer.json" in refusal(tmp_path, "mmmu_med", config)
    ids = [row["id"] for row in rows]
    truths = {
        ids[0]: {"question_type": "multiple-choice", "ground_truth": "D"},
        ids[1]: {"ground_truth": ["0.5", "1/2"]},
    }
    write(tmp_path / "mmmu_med" / "answer.json", json.dumps(truths))
    found, _ = read(tmp_path, "mmmu_med", config)
    assert [one.golds for one in found] == [("D",), ("0.5", "1/2"), ("C",)]
    write(tmp_path / "mmmu_med" / "answer.json", "[]")
    assert "answer.json is no JSON object" in refusal(tmp_path, "mmmu_med", config)


OSF = {"image_name": "synpic1.jpg", "question_type": "PRES", "phrase_type": "test_freeform", "qid": 1}
OSF_ROWS = [
    OSF | {"question": "Is it large?", "answer": "Yes", "answer_type": "CLOSED"},
    OSF | {"question": "Trained on", "answer": "No", "answer_type": "CLOSED", "phrase_type": "freeform"},
    OSF | {"question": "Left or right?", "answer": "Left", "answer_type": "CLOSED ", "phrase_type": "test_para"},
    OSF | {"question": "How many?", "answer": 3, "answer_type": "OPEN", "image_name": "synpic2.jpg"},
]


@pytest.mark.parametrize(
    ("file", "folder", "rows"),
    [
        ("VQA_RAD Dataset Public.json", "VQA_RAD Image Folder", OSF_ROWS),
        ("VQA_RAD_Dataset_Public.json", "VQA_RAD_Image_Folder", OSF_ROWS),
        ("testset.json", "images", [row for row in OSF_ROWS if row["phrase_type"] != "freeform"]),
    ],
)
def test_vqa_rad_of_the_authors_own_files_says_itself_what_is_closed(
    tmp_path: Path, file: str, folder: str, rows: list[dict[str, Any]]
) -> None:
    write(tmp_path / "vqa_rad" / file, json.dumps(rows))
    for name in ("synpic1.jpg", "synpic2.jpg"):
        write(tmp_path / "vqa_rad" / folder / name, png(3))
    found, _ = read(tmp_path, "vqa_rad")
    assert [(one.id, one.kind, one.question, one.answer, one.topic) for one in found] == [
        ("0", Kind.CLOSED, "Is it large?", "Yes", "PRES"),
        ("1", Kind.CLOSED, "Left or right?", "Left", "PRES"),
        ("2", Kind.OPEN, "How many?", "3", "PRES"),
    ]
    assert [one.images for one in found] == [(f"{folder}/{name}.jpg",) for name in ("synpic1", "synpic1", "synpic2")]
    assert found[0].cluster == found[1].cluster != found[2].cluster


@pytest.mark.parametrize("file", ["qas/test/test_qa.json", "test_qa.json", "test.json"])
@pytest.mark.parametrize("folder", ["images/test", "images"])
def test_path_vqa_reads_its_lists_as_json(tmp_path: Path, file: str, folder: str) -> None:
    rows = [
        {"image": "test_0261", "question": "What is it?", "answer": "neutrophils"},
        {"image": "test_0262.png", "question": "Is it gastrointestinal?", "answer": "yes"},
    ]
    write(tmp_path / "path_vqa" / file, json.dumps(rows))
    for name in ("test_0261.jpg", "test_0262.png"):
        write(tmp_path / "path_vqa" / folder / name, png(3))
    found, _ = read(tmp_path, "path_vqa")
    assert [(one.kind, one.answer, one.images) for one in found] == [
        (Kind.OPEN, "neutrophils", (f"{folder}/test_0261.jpg",)),
        (Kind.CLOSED, "yes", (f"{folder}/test_0262.png",)),
    ]


def test_paths_within_the_folder_are_taken_as_they_are_and_a_pickle_is_never_opened(tmp_path: Path) -> None:
    write(tmp_path / "path_vqa" / "qas/test/test_qa.pkl", b"cos\nsystem\n(S'false'\ntR.")
    told = refusal(tmp_path, "path_vqa")
    assert "test_qa.pkl is a pickle, which may run code and is not read; write its list as JSON into" in told
    write(tmp_path / "path_vqa" / "test.json", json.dumps([{"image": "x/a.png", "question": "Is it?", "answer": "no"}]))
    write(tmp_path / "path_vqa" / "x/a.png", png(3))
    (tmp_path / "path_vqa" / "qas/test/test_qa.pkl").unlink()
    assert read(tmp_path, "path_vqa")[0][0].images == ("x/a.png",)


@pytest.mark.parametrize("answer", ["B", " b.", "B: Focal uptake pattern", "Focal uptake pattern"])
@pytest.mark.parametrize("folder", ["figures", "images", "images_2"])
def test_pmc_vqa_test_2_is_read_as_medevalkit_has_it(tmp_path: Path, answer: str, folder: str) -> None:
    row = {
        "index": "7", "Figure_path": "PMC8253797_Fig4_11.jpg", "Caption": "A slice.", "Question": "Which pattern?",
        "Choice A": " A: Diffuse uptake pattern ", "Choice B": "B: Focal uptake pattern", "Choice C": "C: None",
        "Choice D": "D: Both", "Answer": answer, "split": "test",
    }  # fmt: skip
    file = io.StringIO()
    table = csv.DictWriter(file, list(row))
    table.writeheader()
    table.writerow(row)
    write(tmp_path / "pmc_vqa" / "test_2.csv", file.getvalue())
    write(tmp_path / "pmc_vqa" / folder / row["Figure_path"], png(5))
    found, _ = read(tmp_path, "pmc_vqa", replace(shipped("pmc_vqa"), split="test_2"))
    assert [(one.answer, one.options[1], one.images) for one in found] == [
        ("B", "Focal uptake pattern", (f"{folder}/{row['Figure_path']}",))
    ]


def test_pmc_vqa_test_2_has_an_archive_of_its_own(tmp_path: Path) -> None:
    pmc(tmp_path)
    (tmp_path / "pmc_vqa" / "test_clean.csv").rename(tmp_path / "pmc_vqa" / "test_2.csv")
    shutil.rmtree(tmp_path / "pmc_vqa" / "images")
    with zipfile.ZipFile(tmp_path / "pmc_vqa" / "images_2.zip", "w") as archive:
        archive.writestr("figures/PMC1064097_F1.jpg", png(5))
    found, root = read(tmp_path, "pmc_vqa", replace(shipped("pmc_vqa"), split="test_2"))
    assert len(found) == 2
    assert (root / found[0].images[0]).read_bytes() == png(5)


def test_any_of_several_gold_answers_is_kept(tmp_path: Path) -> None:
    slake(tmp_path, answer=["Left", "Left side"])
    for name in ("xmlab102", "xmlab7"):
        write(tmp_path / "slake" / "imgs" / name / "source.jpg", png(3))
    assert [one.golds for one in read(tmp_path, "slake")[0]] == [("CT",), ("No",), ("Left", "Left side")]
    slake(tmp_path, answer=None, answers=["Left", 2])
    assert read(tmp_path, "slake")[0][-1].golds == ("Left", "2")
    for wrong in ([], ["Left", None], ["Left", ""], True, [["Left"]]):
        slake(tmp_path, answer=wrong)
        assert "record 4: 'answer' is not text, or it is empty" in refusal(tmp_path, "slake")


@pytest.mark.parametrize(
    "options",
    [
        ["(A) C", "(B) D", "(C) A"],
        ["C", "D", "A"],
        [{"letter": "A", "content": "C"}, {"letter": "B", "content": "D"}, {"letter": "C", "content": "A"}],
    ],
)
@pytest.mark.parametrize("label", ["C", ["C"]])
def test_medxpertqa_reads_options_and_labels_that_are_lists(tmp_path: Path, options: list[Any], label: Any) -> None:
    row = {"id": "MM-1", "question": "Which?", "options": options, "label": label, "images": [], "question_type": "x"}
    write(tmp_path / "medxpertqa_mm" / "MM" / "test.jsonl", json.dumps(row))
    write(tmp_path / "medxpertqa_mm" / "images" / "x", "")
    assert [(one.options, one.answer) for one in read(tmp_path, "medxpertqa_mm")[0]] == [(("C", "D", "A"), "C")]
    for wrong in ([], [1], [{"letter": "B", "content": "x"}], "A"):
        write(tmp_path / "medxpertqa_mm" / "MM" / "test.jsonl", json.dumps(row | {"options": wrong}))
        assert "'options' is neither a mapping" in refusal(tmp_path, "medxpertqa_mm")


def test_medxpertqa_reads_options_and_leaves_them_out_of_the_question(tmp_path: Path) -> None:
    row = {
        "id": "MM-2000", "question": "Which artery?\nAnswer Choices: (A) C (B) D (C) A",
        "options": {"A": "C", "B": "D", "C": "A"},
        "label": "C", "images": ["MM-2000-a.jpeg", "MM-2000-b.jpeg"], "medical_task": "Diagnosis",
        "body_system": "Digestive", "question_type": "Reasoning",
    }  # fmt: skip
    other = row | {
        "id": "MM-2001",
        "question": "What now?",
        "images": ["MM-2001-a.jpeg"],
        "question_type": "Understanding",
    }
    write(tmp_path / "medxpertqa_mm" / "MM" / "test.jsonl", "".join(json.dumps(one) + "\n" for one in (row, other)))
    for name in ("MM-2000-a", "MM-2000-b", "MM-2001-a"):
        write(tmp_path / "medxpertqa_mm" / "images" / f"{name}.jpeg", png(6))
    found, _ = read(tmp_path, "medxpertqa_mm")
    assert found[0] == Item(
        *("MM-2000", Kind.CHOICE, "Which artery?", "C", ("C", "D", "A")),
        *(("images/MM-2000-a.jpeg", "images/MM-2000-b.jpeg"), "images/MM-2000-a.jpeg", "", "Reasoning"),
    )
    assert (found[1].id, found[1].topic, found[1].images) == ("MM-2001", "Understanding", ("images/MM-2001-a.jpeg",))


def test_chiron_reads_one_or_several_pictures(tmp_path: Path) -> None:
    two = ["images/18/ct_group1/0.png", "images/18/ct_group1/1.png"]
    asked = "What is it?\nBase it on (Modality 1: <image>\n<image>)."
    row = {"reasoning": "…", "answer": "Yes.", "answer_type": "OPEN"}
    rows = [
        row | {"id": 4, "img_name": two, "question": asked},
        row | {"id": 6, "img_name": "images/19/x/0.png", "question": "<image> Is it?", "answer_type": "CLOSED"},
        row | {"id": 8, "img_name": "images/19/y/0.png", "question": "Is it?"},
    ]
    write(tmp_path / "chiron" / "eval_data.json", json.dumps(rows))
    for name in ("18/ct_group1/0", "18/ct_group1/1", "19/x/0", "19/y/0"):
        write(tmp_path / "chiron" / "images" / f"{name}.png", png(7))
    found, _ = read(tmp_path, "chiron")
    assert [(one.id, one.kind, one.cluster, len(one.images)) for one in found] == [
        ("4", Kind.OPEN, "images/18", 2),
        ("6", Kind.CLOSED, "images/19", 1),
        ("8", Kind.OPEN, "images/19", 1),
    ]
    assert found[0].question == "What is it?\nBase it on (Modality 1: pictures 1 to 2)."
    assert {one.written for one in found} == {""}
    written = replace(shipped("chiron"), as_written=True)
    found, _ = read(tmp_path, "chiron", written)
    assert [one.written for one in found] == [asked, "<image> Is it?", "Is it?"]
    write(tmp_path / "chiron" / "eval_data.json", json.dumps([rows[0] | {"question": "<image> or what?"}]))
    read(tmp_path, "chiron")
    assert "record 1: 'question': 1 <image> in it, but 2 picture(s)" in refusal(tmp_path, "chiron", written)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the reference's sample is not on this machine")
def test_the_references_own_sample_is_read(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "chiron")
    found, _ = read(tmp_path, "chiron")
    assert len(found) == 4
    assert all(one.images and "<image>" not in one.question for one in found)


def test_cases_of_our_own_are_open_questions(tmp_path: Path) -> None:
    shutil.copytree(CONF.parent / "mics_ray" / "local" / "cases", tmp_path / "phantom")
    found, _ = read(tmp_path, "phantom")
    assert len(found) == 32
    assert (found[0].id, found[0].kind, found[0].answer) == ("phantom-001", Kind.OPEN, "Pneumothorax")
    assert found[0].images == ("images/phantom-001.png",)
    assert {one.context for one in found} == {""}
    source = open_source("phantom", shipped("phantom"), str(tmp_path), tmp_path / "out", ("complaint", "age"))
    assert read_items(source)[0].context == "Complaint: Tired for a month, otherwise well.\nAge: 22 years"


def test_cases_with_options_are_choices_and_those_of_yes_or_no_are_closed(tmp_path: Path) -> None:
    options = {"A": "Cyst", "B": "Vitamin B. deficiency", "C": "C. difficile colitis"}
    inline = "What? (A) Cyst (B) Abscess"
    records = [
        {"id": 1, "question": "What?", "answer": "c. difficile colitis", "options": options},
        {"id": 2, "question": "Stages:\nA. One", "answers": ["B", "A"], "choices": ["Early", "Late"]},
        {"id": 3, "question": inline, "answer": "B", "options": ["Cyst", "Abscess"]},
        {"id": 4, "question": "How many?", "answer": 2, "options": {"1": "One", "2": "Two"}},
        {"id": 5, "question": "Is it large?", "answers": ["Yes.", "yes"]},
        {"id": 6, "question": "Is it large?", "answers": ["Yes", "Partly"]},
        {"id": 7, "question": "Is it A. a cyst or B. an abscess?", "answer": "B"},
    ]
    write(tmp_path / "phantom" / "cases.jsonl", "".join(json.dumps(one) + "\n" for one in records))
    found, _ = read(tmp_path, "phantom")
    choices = [(one.question, one.options, one.golds) for one in found if one.kind is Kind.CHOICE]
    assert choices == [
        ("What?", tuple(options.values()), ("C",)),
        ("Stages:\nA. One", ("Early", "Late"), ("B", "A")),
        (inline, ("Cyst", "Abscess"), ("B",)),
        ("How many?", ("One", "Two"), ("B",)),
    ]
    assert [one.kind for one in found[4:]] == [Kind.CLOSED, Kind.OPEN, Kind.OPEN]
    listed, asked = (
        "What?\nA. Cyst\nB. Vitamin B. deficiency\nC. C. difficile colitis",
        "Answer with the letter of one option.",
    )
    assert [question_text(found[at]) for at in (0, 2)] == [f"{listed}\n{asked}", f"{inline}\n{asked}"]
    verdicts = {
        said: check_by_rule(found[1], read_reply(found[1], said)) for said in ("A", "The answer is B.", "late", "C")
    }
    assert verdicts == {"A": Verdict.RIGHT, "The answer is B.": Verdict.RIGHT, "late": Verdict.RIGHT, "C": None}
    assert check_by_rule(found[0], read_reply(found[0], "### The final answer is: Cyst")) is Verdict.WRONG
    assert make_judge_case(found[1], Case("", "", "")).answer == "B. Late or A. Early"


def test_a_case_that_generation_would_reject_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "phantom" / "cases.jsonl", '{"rid": "1", "messages": []}\n')
    with pytest.raises(RefusedRun, match=r"phantom: cases\.jsonl, line 1: no question"):
        read(tmp_path, "phantom")


def refusal(root: Path, name: str, config: BenchmarkConfig | None = None) -> str:
    with pytest.raises(RefusedRun) as caught:
        read(root, name, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert f"slake: no folder {tmp_path / 'slake'}" in refusal(tmp_path, "slake")
    (tmp_path / "slake").mkdir()
    assert "slake: no split 'test' in" in refusal(tmp_path, "slake")
    slake(tmp_path)
    assert "slake: neither a folder of pictures nor imgs.zip in" in refusal(tmp_path, "slake")
    write(tmp_path / "slake" / "imgs" / "xmlab102" / "source.jpg", png(3))
    assert "item '4': picture 'imgs/xmlab7/source.jpg': no such file" in refusal(tmp_path, "slake")
    (tmp_path / "phantom").mkdir()
    assert "cases.jsonl is not there" in refusal(tmp_path, "phantom")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"answer_type": None}, "test.json, record 4: has no field 'answer_type'"),
        ({"answer_type": "MAYBE"}, "record 4: 'answer_type' is neither OPEN nor CLOSED"),
        ({"question": ""}, "record 4: 'question' is empty"),
        ({"answer": {"a": "Secret"}}, "record 4: 'answer' is not text"),
        ({"qid": 1}, "slake: the id '1' is there twice"),
        ({"img_name": "../../etc/passwd"}, "a path that leaves the image folder"),
    ],
)
def test_a_record_of_another_form_is_named_without_its_text(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    slake(tmp_path, **changes)
    for name in ("xmlab102", "xmlab7"):
        write(tmp_path / "slake" / "imgs" / name / "source.jpg", png(3))
    found = refusal(tmp_path, "slake")
    assert problem in found
    assert "Secret" not in found


def test_a_label_that_is_no_letter_of_the_options_is_refused(tmp_path: Path) -> None:
    pmc(tmp_path, Answer_label="E")
    assert "test_clean.csv, record 2: 'Answer_label' is none of A, B, C, D" in refusal(tmp_path, "pmc_vqa")
    config = replace(shipped("mmmu_med"), config=SUBJECTS[:1])
    for changes, problem in (
        ({"answer": "E"}, "'answer' is no letter of its options"),
        ({"options": "not a list"}, "'options' is no list"),
        ({"image_1": {"bytes": None, "path": "x.png"}}, "'image_1' holds no picture"),
    ):
        parquet(tmp_path / "mmmu_med" / SUBJECTS[0] / "validation-0.parquet", [mmmu(1, **changes)])
        assert problem in refusal(tmp_path, "mmmu_med", config)


def test_a_damaged_file_of_records_is_named(tmp_path: Path) -> None:
    for name in ("test.parquet", "test.jsonl", "test.json"):
        write(tmp_path / "slake" / name, b"PAR1 {[cut")
        assert f"{name}: cannot be read" in refusal(tmp_path, "slake")
        (tmp_path / "slake" / name).unlink()
    write(tmp_path / "slake" / "test.json", "[]")
    write(tmp_path / "slake" / "imgs" / "x", "")
    assert "holds no items" in refusal(tmp_path, "slake")


def test_an_unknown_reader_and_a_set_without_hub_or_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "slake").mkdir()
    wrong = replace(shipped("slake"), reader="slaek")
    assert "no reader 'slaek'; did you mean 'slake'?" in refusal(tmp_path, "slake", wrong)
    with pytest.raises(RefusedRun, match=r"chiron: is on no hub; give eval\.root"):
        open_source("chiron", shipped("chiron"), None, tmp_path)


def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    source = open_source("slake", shipped("slake"), None, tmp_path)
    with pytest.raises(RefusedRun, match=r"BoKelvin/SLAKE: cannot be fetched from the hub \(\w+\); go online"):
        read_items(source)


def test_the_hubs_files_are_read_like_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    slake(tmp_path)
    with zipfile.ZipFile(tmp_path / "imgs.zip", "w") as archive:
        for name in ("xmlab102", "xmlab7"):
            archive.writestr(f"imgs/{name}/source.jpg", png(4))

    def snapshot(hub: str, revision: str | None, patterns: list[str]) -> Path:
        asked.append((hub, revision, patterns))
        return tmp_path / "slake"

    def open_file(hub: str, revision: str | None, name: str) -> Any:
        asked.append((hub, revision, name))
        return open(tmp_path / name, "rb")

    monkeypatch.setattr("eval.benchmarks.base.fetch_snapshot", snapshot)
    monkeypatch.setattr("eval.benchmarks.base.open_file", open_file)
    source = open_source("slake", replace(shipped("slake"), revision="abc"), None, tmp_path / "out")
    assert len(read_items(source)) == 3
    assert asked == [
        ("BoKelvin/SLAKE", "abc", ["test.*", "test-*", "test/*", "data/test.*", "data/test-*", "data/test/*"]),
        ("BoKelvin/SLAKE", "abc", "imgs.zip"),
    ]
    assert source.picture_root == tmp_path / "out"


def test_every_shipped_benchmark_has_its_reader_and_the_papers_figures() -> None:
    found = {name: shipped(name) for name in list_choices("eval")}
    assert {config.reader for config in found.values()} == set(READERS)
    assert {name for name, config in found.items() if config.in_domain} == {"vqa_rad", "slake", "path_vqa", "pmc_vqa"}
    five = ("vqa_rad", "slake", "path_vqa", "pmc_vqa", "mmmu_med")
    means = {model: round(sum(found[name].paper[model] for name in five) / 5, 1) for model in found["slake"].paper}
    assert means == {"InternVL3-2B": 57.4, "Chiron-o1-2B": 65.5, "InternVL3-8B": 63.5, "Chiron-o1-8B": 69.2}
    counted = {name: (one.paper_set.split, one.paper_set.kind or one.paper_set.topic, one.paper_set.items)
               for name, one in found.items() if one.paper_set}  # fmt: skip
    assert counted == {
        "vqa_rad": ("test", "closed", 272), "slake": ("test", "closed", 416), "path_vqa": ("test", "closed", 3362),
        "pmc_vqa": ("test_2", None, 33430), "mmmu_med": ("test", None, 1752),
        "medxpertqa_mm": ("test", "Reasoning", 1446),
    }  # fmt: skip
    assert set(counted) == {name for name, config in found.items() if config.paper}
