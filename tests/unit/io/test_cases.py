import hashlib
import json
import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mics_ray.core.types import Case
from mics_ray.io import cases, readers
from mics_ray.io.cases import InputError, Rejection, Survey, read_span, survey_cases

DEMO = Path(__file__).parents[4] / "shared/data/chiron_demo/demo.jsonl"


def record(case_id: object, question: object = "Q", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "A"}]
    return {"rid": case_id, "messages": messages} | more


def lines(*records: object) -> str:
    return "".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in records)


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def read(survey: Survey) -> list[Case | Rejection]:
    found = [item for span in survey.spans for item in read_span(pickle.loads(pickle.dumps(span)))]
    assert len(found) == survey.pending
    return found


def ids(survey: Survey) -> list[str]:
    return [item.id for item in read(survey)]


def test_lines_are_counted_with_blank_ones_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff" + lines(record("a"), "", "  \t", record(7), "{broken", record("c")).replace("\n", "\r\n")
    survey = survey_cases(write(tmp_path / "x.jsonl", text))
    assert ids(survey) == ["a", "7", "line-5", "c"]
    assert (survey.records, survey.rejections, survey.pending) == (4, 1, 4)
    assert survey.examples == (read(survey)[2].id + ": " + read(survey)[2].reason,)  # type: ignore[union-attr]
    assert "x.jsonl, line 5: broken JSON" in survey.examples[0]
    assert survey.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert ids(survey_cases(write(tmp_path / "x.jsonl", lines(record("a"), record("b")).rstrip()))) == ["a", "b"]


def test_every_record_without_an_id_of_its_own_gets_its_line(tmp_path: Path) -> None:
    text = lines(
        record("a"),
        record("a", "again"),
        record("line-1"),
        record("line-4"),
        record(" "),
        record("b", None),
        record("b"),
        '"text"',
        record("a\0"),
        record("a\u2400"),
        '{"rid": "x", "rid2": \ud83d}'.encode("utf-8", "replace").decode(),
    )
    survey = survey_cases(write(tmp_path / "x.jsonl", text))
    expected = ["a", "line-2", "line-3", "line-4", "line-5", "b", "line-7", "line-8", "a␀", "line-10", "line-11"]
    assert ids(survey) == expected
    found = dict(zip(expected, read(survey), strict=True))
    assert [case_id for case_id, item in found.items() if isinstance(item, Case)] == ["a", "line-4", "a␀"]
    twin = found["line-2"]
    assert isinstance(twin, Rejection)
    assert (twin.question, twin.position) == ("again", 2)
    assert "x.jsonl, line 2: the id 'a' is that of an earlier record" in twin.reason
    assert survey.rejections == 8


@pytest.mark.parametrize(
    "line",
    [
        b'{"rid": "\xff"}',
        b'{"rid": "a"',
        b'{"rid": "a\n"}',
        b"[" * 100_000,
        b'{"rid": ' + b"9" * 5000 + b"}",
        b"\xed\xa0\x80",
        b"\0",
        b'{"rid": "\\ud8"}',
    ],
)
def test_no_line_can_raise_and_no_reason_quotes_it(tmp_path: Path, line: bytes) -> None:
    survey = survey_cases(
        write(tmp_path / "x.jsonl", lines(record("a")).encode() + line + b"\n" + lines(record("b")).encode())
    )
    found = ids(survey)
    assert found[0] == "a"
    assert found[-1] == "b"
    assert set(found[1:-1]) <= {"line-2", "line-3"}
    assert "999" not in "".join(survey.examples)


def test_lone_surrogates_in_ids_are_replaced(tmp_path: Path) -> None:
    survey = survey_cases(
        write(tmp_path / "x.jsonl", r'{"rid": "\ud800x", "messages": []}' + "\n" + lines(record("😀")))
    )
    assert ids(survey) == ["�x", "😀"]


def test_a_line_over_the_limit_is_rejected_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("w") as file:
        file.write(lines(record("a")) + '{"rid": "')
        for _ in range(100):
            file.write("x" * 2**20)
        file.write('"}\n' + lines(record("b")))
    tracemalloc.start()
    survey = survey_cases(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids(survey) == ["a", "line-2", "b"]
    assert survey.examples == ("line-2: x.jsonl, line 2: longer than 64 MB",)
    assert peak < 2.2 * readers.MAX_RECORD


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_a_record_of_exactly_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fits = json.dumps(record("fits"))
    monkeypatch.setattr(readers, "MAX_RECORD", len(fits))
    parts = [fits, json.dumps(record("too long")), json.dumps(record("b"))]
    text = "[" + ",".join(parts) + "]" if name == "x.json" else "\n".join(parts)
    assert ids(survey_cases(write(tmp_path / name, text))) == ["fits", "line-2", "b"]


def test_json_lists_and_objects_with_one_list(tmp_path: Path) -> None:
    records = [record("a"), record("b", 'quote " bracket ] back\\'), 5, record("a"), record("c")]
    for number, (text, indent) in enumerate(
        [(records, None), ({"version": [1][0], "m": {"k": [2]}, "cases": records}, 2)]
    ):
        survey = survey_cases(write(tmp_path / f"{number}.json", "\ufeff \n" + json.dumps(text, indent=indent)))
        assert ids(survey) == ["a", "b", "line-3", "line-4", "c"]
        assert survey.rejections == 2
        assert f"{number}.json, record 3: the record is not an object" in survey.examples[0]


def test_a_broken_element_costs_only_itself(tmp_path: Path) -> None:
    text = f'[{json.dumps(record("a"))}, {{"rid": nonsense}}, , {json.dumps(record("b"))},]'
    assert ids(survey_cases(write(tmp_path / "x.json", text))) == ["a", "line-2", "line-3", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"a": 1}',
        '{"a": {"b": [{"rid": 1}]}}',
        '[{"rid": 1}',
        '[{"rid": "a}]',
        '[{"rid": 1}] [',
        '[{"rid": 1}] x',
        '[{"rid": 1}}]',
        '{"a": [{}], "b": [{}]}',
        '{"a": [{}]',
        '{"a": [{}]}} ',
        "plain text",
        "   \n ",
        "",
    ],
)
def test_files_that_are_no_list_of_records_are_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "x.json", text)
    with pytest.raises(InputError, match=r"x\.json"):
        survey_cases(path)


def test_parquet(tmp_path: Path) -> None:
    rows = [record(f"c{number}", images=["a.png"], caption=["one", "two"], extra=number) for number in range(1000)]
    rows[3]["rid"] = None
    rows[500]["rid"] = "c2"
    rows[999]["messages"] = None
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
    survey = survey_cases(str(path))
    found = read(survey)
    assert (survey.records, survey.rejections) == (1000, 3)
    assert [item.id for item in found if isinstance(item, Rejection)] == ["line-4", "line-501", "c999"]
    assert [item.id for item in found[:3]] == ["c0", "c1", "c2"]
    assert isinstance(found[10], Case)
    assert found[10].images == ("a.png",)
    assert [note.text for note in found[10].notes] == ["one", "two"]
    assert "x.parquet, record 501: the id 'c2'" in survey.examples[1]
    # Each span alone gives the same records as all of them in order.
    backwards = [list(read_span(span)) for span in reversed(survey.spans)]
    assert [item for part in reversed(backwards) for item in part] == found


def test_parquet_with_whole_numbers_and_other_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 1], "question": ["a", "b", "c"]}), tmp_path / "x.parquet")
    assert ids(survey_cases(str(tmp_path / "x.parquet"))) == ["1", "2", "line-3"]
    pq.write_table(pa.table({"unrelated": [1, 2]}), tmp_path / "y.parquet")
    assert ids(survey_cases(str(tmp_path / "y.parquet"))) == ["line-1", "line-2"]
    raw = pa.array([b"ok", b"\xff"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"rid": raw}), tmp_path / "z.parquet")
    assert ids(survey_cases(str(tmp_path / "z.parquet"))) == ["ok", "line-2"]


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([record("a")]), tmp_path / "x.parquet")
    path = write(tmp_path / "y.parquet", (tmp_path / "x.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match=r"y\.parquet: cannot be read as parquet"):
        survey_cases(path)


@pytest.mark.parametrize("name", ["x.json", "x.txt", "x"])
def test_json_lines_are_known_under_other_names(tmp_path: Path, name: str) -> None:
    assert ids(survey_cases(write(tmp_path / name, lines(record("a"), "{", record("b"))))) == ["a", "line-2", "b"]


def test_parquet_is_known_by_its_content(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([record("a")]), tmp_path / "x.jsonl")
    assert ids(survey_cases(str(tmp_path / "x.jsonl"))) == ["a"]


@pytest.mark.parametrize("head", [b"\x1f\x8b", "{}".encode("utf-16"), b"PK\x03\x04", b"\x89PNG\r\n"])
def test_foreign_files_are_refused(tmp_path: Path, head: bytes) -> None:
    name = "x.jsonl" if head[:1] != b"\x89" else "x.png"
    with pytest.raises(InputError, match=name):
        survey_cases(write(tmp_path / name, head + b"rest"))


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero"), tmp_path / "missing.jsonl", tmp_path / "a\0b"):
        with pytest.raises(InputError):
            survey_cases(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", lines(record("a")))
    os.chmod(path, 0)
    with pytest.raises(InputError, match="Permission denied"):
        survey_cases(path)


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
def test_what_is_done_is_left_out_and_the_rest_keeps_its_ids(tmp_path: Path, form: str) -> None:
    rows = [record(f"c{number}") for number in range(1000)] + [record("c0"), record("c1")]
    path = tmp_path / f"x.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=128)
    else:
        write(path, lines(*rows) if form == "jsonl" else json.dumps(rows))
    done = {f"c{number}" for number in range(1000) if number % 300 != 7} | {"line-1001"}
    survey = survey_cases(str(path), done)
    assert ids(survey) == ["c7", "c307", "c607", "c907", "line-1002"]
    assert (survey.records, survey.rejections, survey.pending) == (1002, 2, 5)
    assert survey_cases(str(path), {*done, *ids(survey)}).spans == ()


@pytest.mark.heavy
def test_spans_are_small_at_first_and_compact_in_all(tmp_path: Path) -> None:
    numbers = [record(number) for number in range(20_000)]
    survey = survey_cases(write(tmp_path / "x.jsonl", lines(*numbers, *[""] * 5000, record("z"))))
    counts = [span.count for span in survey.spans]
    assert counts[0] == cases.LEAST_SPAN
    assert counts[-3] == cases.MOST_SPAN == max(counts)
    assert counts[-1] == 1
    assert sum(counts) == survey.pending == 20_001
    assert len(pickle.dumps(survey)) < 2 * 20_001


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", lines(record("a")))
    survey = survey_cases(path)
    write(tmp_path / "x.jsonl", lines(record("b"), record("a")))
    with pytest.raises(InputError, match="changed since"):
        read(survey)
    os.remove(path)
    with pytest.raises(InputError, match="cannot be read any more"):
        read(survey)


def test_spans_hold_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x.jsonl", lines(record("a")))
    monkeypatch.chdir(tmp_path)
    survey = survey_cases("x.jsonl")
    monkeypatch.chdir("/")
    assert ids(survey) == ["a"]


def test_the_first_rejections_are_kept_as_examples(tmp_path: Path) -> None:
    survey = survey_cases(write(tmp_path / "x.jsonl", "{\n" * 50))
    assert (survey.records, survey.rejections, len(survey.examples)) == (50, 50, cases.EXAMPLES)


def test_no_text_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("w") as file:
        for number in range(2000):
            file.write(lines(record(f"case {number}", "Q" * 10_000)))
    tracemalloc.start()
    survey = survey_cases(str(path))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert survey.records == 2000
    assert kept < 100_000
    assert peak < 2_500_000  # the texts are 20 MB


def test_reading_a_span_leaves_no_file_open(tmp_path: Path) -> None:
    rows = [record(number) for number in range(600)]
    write(tmp_path / "x.jsonl", lines(*rows))
    write(tmp_path / "x.json", json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    surveys = [survey_cases(str(tmp_path / name)) for name in ("x.jsonl", "x.json", "x.parquet")]
    before = len(os.listdir("/proc/self/fd"))
    for survey in surveys:
        for span in survey.spans:
            next(iter(read_span(span)))
            list(read_span(span))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(not DEMO.exists(), reason="the demo cases are not on this machine")
def test_the_ten_real_cases_are_read_unmodified() -> None:
    survey = survey_cases(str(DEMO))
    found = read(survey)
    assert (survey.records, survey.rejections) == (10, 0)
    for case, line in zip(found, DEMO.read_text().splitlines(), strict=True):
        original = json.loads(line)
        assert isinstance(case, Case)
        assert case.id == original["rid"]
        assert "**" not in case.question + case.answer
        assert original["messages"][0]["content"].endswith(case.question)
        assert list(case.images) == original["images"]
        assert all((DEMO.parent / "images" / image).exists() for image in case.images)
        assert [note.label for note in case.notes] == ["Complaint", "Age", "Gender"] + ["Findings"] * len(
            original["caption"]
        )
        texts = " ".join(note.text for note in case.notes)
        assert not any(mark in texts for mark in ("<image>", "According to the", "<br", "\n", "  "))
