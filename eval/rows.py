"""One row per item: the explicit, versioned Arrow schema, and the way from an answered item to a row."""

from typing import Any

import pyarrow as pa

from eval.types import Answered, OwnChain
from mics_ray.core.types import Usage
from mics_ray.io.rows import Stamp
from mics_ray.io.shards.kind import RowKind
from mics_ray.io.storable import order_columns

SCHEMA_VERSION = 2

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("benchmark", pa.string()),
        ("kind", pa.string()),
        ("topic", pa.string()),
        ("modality", pa.string()),
        ("cluster", pa.string()),
        ("question", pa.string()),
        ("prompt", pa.string()),
        ("images", pa.list_(pa.string())),
        ("gold", pa.string()),
        ("output", pa.string()),
        ("parsed", pa.string()),
        ("kept_form", pa.bool_()),
        ("unread", pa.string()),
        ("lenient", pa.string()),
        ("strict", pa.string()),
        ("judge_reply", pa.string()),
        ("failure", pa.string()),
        ("bert_score", pa.float64()),
        ("mics_score", pa.float64()),
        ("mics_chain", pa.string()),
        ("mics_leaks", pa.list_(pa.string())),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("seconds", pa.float64()),
        ("seed", pa.int64()),
        ("config_digest", pa.string()),
        ("code_version", pa.string()),
        ("schema_version", pa.int32()),
    ]
)
"""Columns of a row. ``failure`` is null where no call was lost and the text was not cut, ``unread`` where an answer was
read, ``kept_form`` without a reply, the two scores where they were not asked for, ``mics_chain`` (a
:class:`eval.types.ChainState`) and ``mics_leaks`` with the MICS-Score."""

ANSWERS = RowKind(
    SCHEMA,
    "item_id",
    before={"mics_chain": None, "mics_leaks": None},
    other="rows of version 1 have one verdict, neither lenient nor strict, and tell of neither; "
    "evaluate again into another eval.dir",
)


def item_id(benchmark: str, item: str) -> str:
    """The key of a row, unique over all benchmarks of a folder."""
    return f"{benchmark}/{item}"


def answer_row(
    answered: Answered,
    prompt: str,
    usage: Usage,
    seconds: float,
    stamp: Stamp,
    *,
    bert_score: float | None = None,
    own_chain: OwnChain | None = None,
) -> dict[str, Any]:
    """The row of an answered item.

    ``prompt`` is the text that the model read, ``usage`` the model's own (the judge's left out), ``bert_score`` the F1
    of the parsed answer against the gold one, ``own_chain`` what interns made of the model's own chain, ``None`` where
    that was not asked for.
    """
    item, failure = answered.item, answered.failure
    columns = {
        "item_id": item_id(answered.benchmark, item.id),
        "benchmark": answered.benchmark,
        "kind": item.kind.value,
        "topic": item.topic,
        "modality": item.modality,
        "cluster": item.cluster or item.id,
        "question": item.question,
        "prompt": prompt,
        "images": list(item.images),
        "gold": " or ".join(item.golds),
        "output": answered.output,
        "parsed": answered.parsed,
        "kept_form": answered.kept_form,
        "unread": answered.unread or None,
        "lenient": answered.lenient.value,
        "strict": answered.strict.value,
        "judge_reply": answered.judge_reply,
        "failure": str(failure) if failure else None,
        "bert_score": bert_score,
        "mics_score": own_chain.score if own_chain else None,
        "mics_chain": own_chain.state.value if own_chain else None,
        "mics_leaks": list(own_chain.leaks) if own_chain else None,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "seconds": seconds,
        "seed": stamp.seed,
        "config_digest": stamp.config_digest,
        "code_version": stamp.code_version,
        "schema_version": SCHEMA_VERSION,
    }
    return order_columns(columns, SCHEMA.names)
