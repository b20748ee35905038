"""The forms in which people hold cases beside the documented one: keys, parts, ShareGPT, flat, options."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.core.leaks import Leak, LeakGuard
from mics_ray.core.types import Case, Note
from mics_ray.io.cases import InputError, read_span, survey_cases
from mics_ray.io.dataset_file import write_records
from mics_ray.io.embedded_pictures import EmbeddedPicture, read_row_id
from mics_ray.io.records import RecordPlace, Rejection, is_read_key, parse_record
from mics_ray.io.records.parse import find_id
from mics_ray.io.records.unread import count_unread_keys, describe_unread

PLACE = RecordPlace("some.jsonl", "line", 7)
OPTIONS = {"A": "Cyst", "B": "Abscess", "C": "C. difficile colitis"}
ASKED = "What?\nA. Cyst\nB. Abscess\nC. C. difficile colitis"


def parse(**record: Any) -> Case | Rejection:
    return parse_record({"id": "r", **record}, PLACE)


def turns(*said: object, roles: tuple[str, ...] = ("user", "assistant")) -> list[dict[str, object]]:
    return [{"role": role, "content": content} for role, content in zip(roles, said, strict=False)]


def shared(*said: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[at % 2], "value": text} for at, text in enumerate(said)]


def case(question: str = "Q?", answer: str = "A", images: tuple[str, ...] = (), others: tuple[str, ...] = ()) -> Case:
    return Case("r", question, answer, images, others=others)


FLAT = {"question": "Q?", "answer": "A"}
WITH_PICTURE = case(images=("a.png",))
TEXT_PART, MARK = {"type": "text", "text": "Q?"}, {"type": "image"}
DRESSED = [
    "<image>\n**Question:** Q?",
    "**Question:** <image>\nQ?",
    "<img>Q?",
    "Question: Q?\n<image_1>",
    "<image 1> Q?",
]
READ = [
    *((FLAT | {key: "a.png"}, WITH_PICTURE) for key in ("image", "img", "Pictures", "image_path", "imgFile", "IMAGES")),
    (FLAT | {"picture": [{"bytes": None, "path": "a.png"}]}, WITH_PICTURE),
    (FLAT | {"image": "a.png", "images": ["a.png"]}, WITH_PICTURE),
    (FLAT | {"image": None, "pic": "a.png"}, WITH_PICTURE),
    *((FLAT | {"image": "a.png", "question": text}, WITH_PICTURE) for text in DRESSED),
    (FLAT | {"image": ["a", "b"], "question": "Is <image> older than <image>?"},
     case("Is picture 1 older than picture 2?", images=("a", "b"))),
    ({"Question": "Q?", "Answer": "Answer: A"}, case()),
    ({"question": "Q?", "answer": 3}, case(answer="3")),
    ({"messages": turns([MARK, TEXT_PART], [{"type": "text", "text": "A"}]), "image": "a.png"}, WITH_PICTURE),
    ({"messages": turns([{"type": "image", "image": "a.png"}, TEXT_PART], "A")}, WITH_PICTURE),
    ({"messages": turns([{"type": "image_url", "image_url": {"url": "a.png"}}, "Q?"], "A")}, WITH_PICTURE),
    ({"messages": turns("S", "Q?", "A", roles=("system", "user", "assistant"))}, case()),
    ({"conversations": shared("<image>\nQ?", "A"), "image": "a.png"}, WITH_PICTURE),
    ({"conversations": turns("Q?", "A", roles=("human", "gpt")), "question": " q? "}, case()),
    ({"messages": turns("Q?", "A"), "conversations": None}, case()),
    ({"question": "Q?", "answers": ["A", "B", "a "]}, case(others=("B",))),
    ({"question": "Q?", "answer": ["A", "B"]}, case(others=("B",))),
    ({"messages": turns("Q?", "**Correct Answer:** A"), "answers": ["B", "A", 4]}, case(others=("B", "4"))),
    *(({"question": "What?", "answer": told, "options": given}, case(ASKED, "B. Abscess"))
      for given in (OPTIONS, list(OPTIONS.values()), [f"({mark}) {text}" for mark, text in OPTIONS.items()],
                    OPTIONS | {"D": None}, [{"letter": mark, "content": text} for mark, text in OPTIONS.items()])
      for told in ("B", "b.", "(B)", "abscess", "B. Abscess", "B: abscess.")),
    ({"question": ASKED, "answer": "A", "options": OPTIONS}, case(ASKED, "A. Cyst")),
    ({"question": "What?", "answers": ["B", "C. difficile colitis"], "choices": OPTIONS},
     case(ASKED, "B. Abscess", others=("C. C. difficile colitis",))),
    ({"question": "N?", "answer": 2, "options": {"1": "one", "2": "two"}}, case("N?\n1. one\n2. two", "2. two")),
    (FLAT | {"options": []}, case()),
    *(({"question": "What?", "answer": "B", **given}, case(ASKED, "B. Abscess")) for given in (
        {f"option_{mark.lower()}": text for mark, text in OPTIONS.items()},
        {f"Choice {mark}": f" {mark}:{text} " for mark, text in reversed(OPTIONS.items())},
        {f"op{mark.lower()}": text for mark, text in OPTIONS.items()} | {"opd": float("nan")},
        OPTIONS | {"D": "", "E": None},
        OPTIONS | {"options": OPTIONS, "option_a": "Cyst"},
    )),
    ({"question": "N?", "answer": "1.5 cm", "option1": "1.5 cm", "option2": "2.5 cm"},
     case("N?\n1. 1.5 cm\n2. 2.5 cm", "1. 1.5 cm")),
    (FLAT | {"A": "the only one"}, case()),
    (FLAT | {"images": ["a.png"], "source": "b.png", "mask": {"path": "c.png"}}, WITH_PICTURE),
    (FLAT | {"report": "as seen in\na.png", "doi": "10.1/a.pdf", "series": 3}, case()),
]  # fmt: skip


@pytest.mark.parametrize(("record", "expected"), READ)
def test_read(record: dict[str, Any], expected: Case) -> None:
    assert parse(**record) == expected


REFUSED = [
    (FLAT | {"image": "a.png", "img": "b.png"}, "two places name different pictures"),
    ({"messages": turns([{"type": "image", "image": "a.png"}, "Q?"], "A"), "images": ["b.png"]}, "different pictures"),
    (FLAT | {"image_1": "a.png", "image_2": "b.png"}, "one of several picture keys"),
    (FLAT | {"image": {"bytes": "iVBO", "path": "a.png"}}, "image is not a list of paths"),
    (FLAT | {"image": "http://host/a.png"}, "path leaves the image folder"),
    ({"messages": turns([{"type": "image", "url": "data:image/png;base64,AA"}, "Q?"], "A")}, "as data:"),
    (FLAT | {"question": "<image>\nQ?"}, "a place for a picture"),
    ({"conversations": shared("Q?", "A", "More?", "B")}, "more than one question"),
    ({"messages": turns("Q?", "A", "B", roles=("user", "assistant", "assistant"))}, "more than one answer"),
    ({"messages": turns("Q?", "A"), "question": "Another?"}, "two questions that differ"),
    ({"messages": turns("Q?", "A"), "answer": "B"}, "two answers that differ"),
    ({"messages": turns("Q?", "A", roles=("user", "tool"))}, "neither the user's nor the assistant's"),
    ({"messages": turns([TEXT_PART, {"type": "audio"}], "A")}, "neither text nor a picture"),
    ({"question": "Q?", "answer": True}, "no answer"),
    ({"question": ["Q?"], "answer": "A"}, "no question"),
    ({"question": "Q?", "answers": []}, "answers is an empty list"),
    ({"question": "Q?", "answers": ["A", " "]}, "one of the answers is empty"),
    ({"question": "Q?", "answers": [{"answer": "A"}]}, "no answer: answer is not text"),
    ({"question": "Q?", "answer": "D", "options": OPTIONS}, "none of the options"),
    ({"question": "Q?", "answer": 1, "options": ["x", "y"]}, "none of the options"),
    ({"question": "Q?", "answer": "B. Cyst", "options": OPTIONS}, "none of the options"),
    ({"question": "Q?", "answer": "A", "options": {"A": "B", "B": "A"}}, "one option by its mark and another"),
    ({"question": "Q?", "answer": "x", "options": ["x", "X."]}, "two options are the same"),
    ({"question": "Q?", "answer": "x", "options": ["x"]}, "1 options"),
    ({"question": "Q?", "answer": "x", "options": [str(at) for at in range(11)]}, "11 options"),
    ({"question": "Q?", "answer": "x", "options": {"red": "x", "blue": "y"}}, "not lettered"),
    ({"question": "Q?", "answer": "x", "options": ["x", None]}, "an option is not text"),
    ({"question": "Q?", "answer": "x", "options": "x, y"}, "neither a list nor a mapping"),
    ({"question": "Q?", "answer": "x", "options": ["x", "y"], "choices": ["x", "z"]}, "two lists of options"),
    ({"question": "Q?", "answer": "x", "options": ["x", "y"], "A": "x", "B": "z"}, "two lists of options"),
    ({"question": "Q?", "answer": "x", "A": "x", "option_a": "z", "B": "y"}, "two options of one letter"),
    ({"question": "Q?", "answer": "x", "A": "x", "C": "y"}, "not lettered"),
    ({"question": "Q?", "answer": "z", "A": "x", "B": "y"}, "none of the options"),
    *((FLAT | {"xray": value}, "no pictures, but 'xray' names one") for value in (
        "scans/1.dcm", "CT.NII.GZ", "https://host/a.JPG", ["a.png", "b.png"], {"path": "a.png", "bytes": None},
        [{"type": "image", "url": "a.webp"}], "data:image/png;base64,AA",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("record", "reason"), REFUSED)
def test_refused(record: dict[str, Any], reason: str) -> None:
    found = parse(**record)
    assert isinstance(found, Rejection), found
    assert found.reason.startswith("some.jsonl, line 7: ")
    assert reason in found.reason


def test_ids_and_notes_are_read_in_any_spelling_and_the_documented_one_comes_first() -> None:
    place = RecordPlace("some.jsonl", "line", 7)
    spelt = {"Case-ID": 5, "Age Label": "45 years", "CAPTION": "C.", "gender_label": None, **FLAT}
    assert parse_record(spelt, place) == Case("5", "Q?", "A", (), (Note("Age", "45 years"), Note("Findings", "C.")))
    assert find_id(spelt, place) == "5"
    assert find_id(FLAT | {"ID": "x", "case_id": "y"}, place) == "y"
    assert not {key for key in spelt if not is_read_key(key)}
    found = parse_record(FLAT | {"ID": 1, "Id": 2}, place)
    assert isinstance(found, Rejection)
    assert found.reason.endswith("'ID' and 'Id' differ; keep one of them")


def test_a_rejected_record_keeps_every_answer() -> None:
    found = parse(question="Q?", answers=["A", "B"], image="/a")
    assert isinstance(found, Rejection)
    assert (found.question, found.answer, found.others, found.images) == ("Q?", "A", ("B",), ("/a",))


def test_the_leak_guard_knows_the_letter_of_an_option_that_was_given_apart() -> None:
    found = parse(question="What?", answer="abscess", options=OPTIONS)
    assert isinstance(found, Case)
    assert Leak.ANSWER in LeakGuard(found).find_in_step("So the answer is B.")
    assert not LeakGuard(found).find_in_step("So the answer is A.")


def test_a_parquet_column_of_nearly_the_right_name_holds_the_pictures(tmp_path: Path) -> None:
    rows = {
        "id": ["p", "q"],
        "Image": [{"bytes": b"one", "path": "x.png"}, None],
        "image_name": ["elsewhere.png", None],
        "question": ["Q?", "Q?"],
        "answers": [["A", "B"], ["A"]],
        "options": [None, {"A": "A", "B": "b"}],
    }
    pq.write_table(pa.table(rows), tmp_path / "some.parquet")
    one, two = [found for span in survey_cases(str(tmp_path / "some.parquet")).spans for found in read_span(span)]
    assert isinstance(one, Case)
    assert one == Case("p", "Q?", "A", ("some.parquet#1/1",), others=("B",))
    assert two == Case("q", "Q?\nA. A\nB. b", "A. A")
    assert count_unread_keys(str(tmp_path / "some.parquet")) == {"image_name": 2}
    with CasePictures(tmp_path).open_picture(one.images[0]) as stream:
        assert stream.read() == b"one"


def test_two_parquet_columns_of_pictures_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["p"], "image_1": [b"one"], "image_2": [b"two"]}), tmp_path / "some.parquet")
    with pytest.raises(InputError, match="image_1, image_2 all hold pictures"):
        survey_cases(str(tmp_path / "some.parquet"))


def test_a_parquet_column_of_pictures_under_another_name_is_refused_and_one_beside_the_pictures_is_not(
    tmp_path: Path,
) -> None:
    held, rest = {"bytes": b"one", "path": "x.png"}, {"id": ["p"], "question": ["Q?"], "answer": ["A"]}
    for column in ([held], [[held]]):
        pq.write_table(pa.table(rest | {"xray": column}), tmp_path / "some.parquet")
        with pytest.raises(InputError, match=r"some.parquet: the column 'xray' holds pictures; call it images"):
            survey_cases(str(tmp_path / "some.parquet"))
    for beside in ({"images": [["a.png"]]}, {"image": [held]}):
        pq.write_table(pa.table(rest | {"mask": [held]} | beside), tmp_path / "some.parquet")
        assert len([one for span in survey_cases(str(tmp_path / "some.parquet")).spans for one in read_span(span)]) == 1
    pq.write_table(pa.table(rest | {"digest": [b"no picture"]}), tmp_path / "some.parquet")
    survey_cases(str(tmp_path / "some.parquet"))


@pytest.mark.parametrize("column", [[None, "scans/a.png"], [[], ["a.dcm", "b.dcm"]]])
def test_a_column_of_paths_under_a_name_that_is_not_read_is_refused_in_a_file_and_in_a_dataset(
    tmp_path: Path, column: list[object]
) -> None:
    rest = {"id": ["p", "q"], "question": ["Q?", "R?"], "answer": ["A", "B"]}
    pq.write_table(pa.table(rest | {"title": ["t", "u"], "scan": column}), path := tmp_path / "some.parquet")
    with pytest.raises(InputError, match=r"some.parquet: the column 'scan' holds pictures; call it images"):
        survey_cases(str(path))
    with pytest.raises(InputError, match="dataset: the column 'scan' holds pictures; call it images"):
        write_records(tmp_path / "kept.parquet", [pa.table(rest | {"scan": column})])
    beside = pa.table(rest | {"scan": column, "images": [["x.png"], ["y.png"]]})
    assert write_records(tmp_path / "kept.parquet", [beside]) == len(column)


def test_the_id_of_a_row_is_found_in_any_spelling(tmp_path: Path) -> None:
    held = {"bytes": b"one", "path": "x.png"}
    pq.write_table(pa.table({"Case ID": ["p"], "image": [held]}), path := tmp_path / "some.parquet")
    with path.open("rb") as stream:
        assert read_row_id(stream, EmbeddedPicture(path.name, 1, 1)) == "p"


def test_keys_that_nothing_reads_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(
        '{"id": 1, "Question": "Q", "scan": "a.png", "img": "b", "title": null}\n[1]\n{"scan": 2, "a\\nb": 0}\n'
    )
    found = count_unread_keys(str(path))
    assert found == {"scan": 2, "a\nb": 1}
    assert describe_unread(found) == r"keys that are not read (records): 'scan' (2), 'a\nb' (1)"
    assert describe_unread(type(found)()) == ""
