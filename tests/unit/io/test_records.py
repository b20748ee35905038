from typing import Any

import pytest

from mics_ray.core.types import Case, Note
from mics_ray.io.records import RecordPlace, Rejection, parse_record, reject_duplicate

PLACE = RecordPlace("some.jsonl", "line", 7)


def record(**changes: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": "**Question:** What is it? "},
        {"role": "assistant", "content": "**Correct Answer:** A cyst."},
    ]
    whole = {"rid": "r1", "messages": messages, "images": ["a/0.png"]} | changes
    return {name: value for name, value in whole.items() if value is not ...}


def messages(question: object = "Q", answer: object = "A") -> list[dict[str, object]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def rejected(**changes: Any) -> Rejection:
    found = parse_record(record(**changes), PLACE)
    assert isinstance(found, Rejection), found
    assert found.reason.startswith("some.jsonl, line 7: ")
    assert found.position == 7
    return found


def accepted(**changes: Any) -> Case:
    found = parse_record(record(**changes), PLACE)
    assert isinstance(found, Case), found
    return found


def test_a_whole_record_becomes_a_case() -> None:
    found = accepted(
        title="A cyst",
        certainty="certain",
        presentation="Pain.\n For a  week",
        age_label="40 years",
        gender_label="Female",
        caption=[
            "According to the <image>\n<image>\n, a mass.<br/>No\xa0fluid. According to the <image>\n, round.",
            "Calm.",
        ],
    )
    notes = (
        Note("Complaint", "Pain. For a week"),
        Note("Age", "40 years"),
        Note("Gender", "Female"),
        Note("Findings", "a mass. No fluid. round."),
        Note("Findings", "Calm."),
    )
    assert found == Case("r1", "What is it?", "A cyst.", ("a/0.png",), notes)


def test_labels_pictures_and_notes_are_optional() -> None:
    found = accepted(messages=messages(" plain ", "answer"), images=..., presentation="", caption=["", "<image>\n"])
    assert found == Case("r1", "plain", "answer")
    assert accepted(images=None, caption=None).images == ()
    assert accepted(images="one.png").images == ("one.png",)
    assert accepted(caption="alone", age_label=40, gender_label=float("nan")).notes == (
        Note("Age", "40"),
        Note("Findings", "alone"),
    )


def test_messages_are_found_by_their_role() -> None:
    parts = [{"role": "system", "content": "S"}, *reversed(messages())]
    assert accepted(messages=parts) == Case("r1", "Q", "A", ("a/0.png",))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"rid": "a", "id": "b"}, "a"),
        ({"rid": None, "id": "b", "case_id": "c"}, "b"),
        ({"rid": ..., "case_id": "c"}, "c"),
        ({"rid": 12}, "12"),
        ({"rid": "a\0\ud800"}, "a␀�"),
        ({"rid": "line-7"}, "line-7"),
        ({"rid": "line-07x"}, "line-07x"),
    ],
)
def test_ids(fields: dict[str, Any], expected: str) -> None:
    assert accepted(**fields).id == expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"rid": ...}, "no id"),
        ({"rid": None}, "no id"),
        ({"rid": ""}, "the id is empty"),
        ({"rid": " \t\n"}, "the id is empty"),
        ({"rid": "", "id": "good"}, "the id is empty"),
        ({"rid": 1.5}, "neither text nor a whole number"),
        ({"rid": True}, "neither text nor a whole number"),
        ({"rid": ["a"]}, "neither text nor a whole number"),
        ({"rid": "line-8"}, "'line-8' is reserved"),
        ({"rid": "line-07"}, "'line-07' is reserved"),
    ],
)
def test_a_record_without_a_usable_id_is_named_by_its_line(fields: dict[str, Any], reason: str) -> None:
    found = rejected(**fields)
    assert found.id == "line-7"
    assert reason in found.reason
    assert (found.question, found.answer, found.images) == ("What is it?", "A cyst.", ("a/0.png",))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"messages": ...}, "no question"),
        ({"messages": "Q"}, "no question"),
        ({"messages": []}, "no question"),
        ({"messages": messages()[:1]}, "no answer"),
        ({"messages": messages()[1:]}, "no question"),
        ({"messages": ["x", None, *messages()[1:]]}, "no question"),
        ({"messages": messages(5)}, "no question"),
        ({"messages": messages("**Question:** ")}, "the question is empty"),
        ({"messages": messages(answer=" ")}, "the answer is empty"),
        ({"images": 3}, "images is not a list"),
        ({"images": ["a.png", None]}, "images is not a list"),
        ({"images": [""]}, "an image path is empty"),
        ({"presentation": {"text": "x"}}, "presentation is not text"),
        ({"caption": ["a", ["b"]]}, "caption is not text"),
        ({"age_label": True}, "age_label is not text"),
    ],
)
def test_a_record_that_cannot_be_searched_keeps_its_id(fields: dict[str, Any], reason: str) -> None:
    found = rejected(**fields)
    assert found.id == "r1"
    assert reason in found.reason


@pytest.mark.parametrize("value", [None, "text", 5, [record()]])
def test_what_is_no_object_is_rejected(value: object) -> None:
    expected = Rejection(7, "line-7", "some.jsonl, line 7: the record is not an object")
    assert parse_record(value, PLACE) == expected


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/etc/passwd",
            "../x.png",
            "a/../../x.png",
            "a/b/../../../b/x.png",
            "http://host/x.png",
            "file:///x.png",
            "S3://b/x",
        ),
        *("a\0.png", "C:\\x.png", "c:/x.png", "\\\\host\\x.png", "..\\x.png", "a\\..\\..\\x.png", "/"),
    ],
)
def test_paths_out_of_the_image_folder_are_refused_and_named(path: str) -> None:
    found = rejected(images=["fine.png", path])
    assert f"path leaves the image folder: {path!a}" in found.reason
    assert found.images == ("fine.png", path.replace("\0", "␀"))


@pytest.mark.parametrize("path", ["a.png", "a/b/../c.png", "./a.png", "...png", "a..b/c.png", "ä b/1:2.png", "~/a.png"])
def test_paths_inside_are_left_as_they_are(path: str) -> None:
    assert accepted(images=[path]).images == (path,)


def test_reasons_and_reprs_hold_no_medical_text() -> None:
    canary = "CANARY"
    faulty = rejected(messages=messages(canary, canary), images=["/x"], presentation={"a": canary}, caption=[canary])
    twin = reject_duplicate(accepted(messages=messages(canary, canary)), PLACE)
    assert (faulty.question, twin.answer) == (canary, canary)
    assert canary not in repr(faulty) + repr(twin)


def test_several_faults_are_named_together() -> None:
    found = rejected(rid=..., messages=..., images=["/x"])
    assert all(part in found.reason for part in ("no id", "no question", "no answer", "leaves the image folder"))


def test_a_duplicate_is_named_by_its_line_and_keeps_its_texts() -> None:
    twin = reject_duplicate(accepted(), PLACE)
    reason = "some.jsonl, line 7: the id 'r1' is that of an earlier record"
    assert twin == Rejection(7, "line-7", reason, "What is it?", "A cyst.", ("a/0.png",))


def test_text_is_made_storable() -> None:
    found = accepted(messages=messages("a\ud800", "b\0"), caption=["c\udfff"], images=["d\ud801.png"])
    assert found == Case("r1", "a�", "b␀", ("d�.png",), (Note("Findings", "c�"),))
