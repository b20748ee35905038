"""VQA-RAD: radiology pictures. Test: 451 items, in any of the forms in which it goes around.

The hub's (flaviagiammarino/vqa-rad) holds pictures, questions and answers; the authors' own (OSF) is one list of all
splits, whose ``phrase_type`` says which record is a test's; others have a file for the split. PathVQA is read alike.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from eval.benchmarks.base import Source
from eval.benchmarks.questions import yes_no_kind
from eval.benchmarks.record import BenchmarkRecord, read_benchmark_records
from eval.types import Item, Kind
from mics_ray.core.placeholders import without_placeholders
from mics_ray.errors import RefusedRun

ALL_SPLITS = ("VQA_RAD Dataset Public.json", "VQA_RAD_Dataset_Public.json")
FOLDERS = ("VQA_RAD Image Folder", "VQA_RAD_Image_Folder", "images/{split}", "images", "imgs", "{split}")
_KINDS = {"CLOSED": Kind.CLOSED, "YES/NO": Kind.CLOSED, "OPEN": Kind.OPEN, "OTHER": Kind.OPEN, "NUMBER": Kind.OPEN}
_NAMES = ("image_name", "image", "img_name", "img_id", "image_id")


def read_vqa_rad(source: Source) -> Iterator[Item]:
    """Closed and open as ``answer_type`` says; without it yes/no answers are closed. An item's id is its number among
    the records of the split; equal pictures are one cluster."""
    records = list(_find_records(source))
    held = [isinstance(record.values.get("image"), dict | bytes) for record in records]
    names = ["" if embedded else _name_picture(record) for record, embedded in zip(records, held, strict=True)]
    paths: dict[str, str] = {}
    if any(names):
        folders = [folder.format(split=source.config.split) for folder in FOLDERS]
        paths = source.locate_pictures([name for name in names if name], folders, "images.zip")
    for number, (record, name) in enumerate(zip(records, names, strict=True)):
        yield _vqa_item(record, number, paths[name] if name else source.store_embedded_picture(record, "image"))


def _find_records(source: Source) -> Iterable[BenchmarkRecord]:
    split = source.config.split
    if path := source.find_file(ALL_SPLITS):
        # "test_freeform" and "test_para": a test's own wordings.
        records = read_benchmark_records(path)
        return (one for one in records if one.optional_text("phrase_type").startswith(split))
    own = (f"{split}set.json", f"{split}_qa.json", f"qas/{split}/{split}_qa.json")
    if path := source.find_file(own):
        return read_benchmark_records(path)
    if path := source.find_file([name.replace(".json", ".pkl") for name in own]):
        raise RefusedRun(
            f"{source.name}: {path} is a pickle, which may run code and is not read; write its list as JSON into "
            f"{path.with_suffix('.json')} with a Python that you trust it to"
        )
    return source.read_table(split)


def _name_picture(record: BenchmarkRecord) -> str:
    name = record.required_text(*(one for one in _NAMES if isinstance(record.values.get(one), str)), "image")
    # PathVQA's own lists leave the ending out.
    return name if PurePath(name).suffix else f"{name}.jpg"


def _vqa_item(record: BenchmarkRecord, number: int, picture: str) -> Item:
    answer, *others = record.gold_answers()
    told = str(record.values.get("answer_type") or "").strip().upper()
    return Item(
        id=str(number),
        kind=_KINDS.get(told) or yes_no_kind(answer),
        question=without_placeholders(record.required_text("question")),
        answer=answer,
        images=(picture,),
        cluster=picture,
        topic=record.optional_text("question_type"),
        others=tuple(others),
    )
