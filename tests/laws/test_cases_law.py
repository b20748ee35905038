"""Every record of any file is one case or one rejection, ids are unique, and spans agree with the scan."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.core.types import Case
from mics_ray.io import cases
from mics_ray.io.cases import InputError, Survey, read_span, survey_cases

TEXT = st.text(st.characters(), max_size=8)
IDS = st.one_of(st.sampled_from(["a", "b", "", " ", "line-1", "line-2", "line-3", 1, None, 2.5, True]), TEXT)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
MESSAGES = st.one_of(
    st.just([{"role": "user", "content": "**Question:** Q"}, {"role": "assistant", "content": "A"}]),
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": VALUE}), max_size=3),
    VALUE,
)
ANSWER = st.one_of(st.sampled_from(["A", "b.", "x", ["x", "B"]]), VALUE)
OPTIONS = st.one_of(st.sampled_from([["x", "y"], {"A": "x", "B": "y"}, [{"key": "A", "text": "x"}]]), VALUE)
RECORD = st.fixed_dictionaries(
    {"messages": MESSAGES},
    optional={"rid": IDS, "id": IDS, "images": st.one_of(st.lists(TEXT, max_size=2), VALUE), "caption": VALUE},
) | st.fixed_dictionaries(
    {"question": st.one_of(st.just("<image> Q"), VALUE), "rid": IDS},
    optional={"answer": ANSWER, "answers": ANSWER, "options": OPTIONS, "img": VALUE, "conversations": MESSAGES},
)
LINE = st.one_of(RECORD.map(lambda value: json.dumps(value).encode()), st.binary(max_size=12))
settings.register_profile("files", max_examples=100, deadline=None)


def agreed(survey: Survey, records: int) -> set[str]:
    """Check the laws; the ids of all records."""
    found = [item for span in survey.spans for item in read_span(span)]
    ids = {item.id for item in found}
    assert len(ids) == len(found) == survey.records == survey.pending == records
    assert sum(not isinstance(item, Case) for item in found) == survey.rejections
    assert all(item.id.strip() and item.id.encode() for item in found)
    return ids


@given(lines=st.lists(LINE, min_size=1, max_size=12), done=st.sets(st.integers(0, 11)), span=st.integers(1, 5))
@settings(settings.get_profile("files"))
def test_json_lines(lines: list[bytes], done: set[int], span: int) -> None:
    text = b"\n".join(lines)
    records = sum(
        bool(line.removeprefix(b"\xef\xbb\xbf" if at == 0 else b"").strip())
        for at, line in enumerate(text.split(b"\n"))
    )
    with tempfile.TemporaryDirectory() as folder, spans_of(span):
        path = Path(folder) / "x.jsonl"
        path.write_bytes(text)
        try:
            survey = survey_cases(str(path))
        except InputError:
            assert records == 0 or text[:1] in b"\x1f\xff\xfeP\x28B\xfd"
            return
        ids = agreed(survey, records)
        committed = {case_id for at, case_id in enumerate(sorted(ids)) if at in done}
        rest = survey_cases(str(path), committed)
        assert {item.id for part in rest.spans for item in read_span(part)} == ids - committed
        assert (rest.records, rest.rejections) == (survey.records, survey.rejections)


@given(records=st.lists(RECORD | VALUE, min_size=1, max_size=12), wrapped=st.booleans(), span=st.integers(1, 5))
@settings(settings.get_profile("files"))
def test_json(records: list[Any], wrapped: bool, span: int) -> None:
    with tempfile.TemporaryDirectory() as folder, spans_of(span):
        path = Path(folder) / "x.json"
        path.write_text(json.dumps({"cases": records} if wrapped else records, indent=1 if wrapped else None))
        agreed(survey_cases(str(path)), len(records))


@given(text=st.binary(max_size=60).map(lambda tail: b"[" + tail))
@settings(settings.get_profile("files"))
def test_any_bytes_as_json(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        path.write_bytes(text)
        try:
            survey = survey_cases(str(path))
        except InputError:
            return
        agreed(survey, survey.records)


@given(
    ids=st.lists(st.sampled_from(["a", "b", "line-2", "", None]) | st.text(max_size=3), min_size=1, max_size=30),
    span=st.integers(1, 7),
)
@settings(settings.get_profile("files"), max_examples=50)
def test_parquet(ids: list[str | None], span: int) -> None:
    with tempfile.TemporaryDirectory() as folder, spans_of(span):
        path = Path(folder) / "x.parquet"
        pq.write_table(pa.table({"rid": pa.array(ids, pa.string())}), path, row_group_size=4)
        agreed(survey_cases(str(path)), len(ids))


@contextmanager
def spans_of(size: int) -> Iterator[None]:
    """Smaller spans meanwhile, so that short files have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cases, "LEAST_SPAN", size)
        yield
