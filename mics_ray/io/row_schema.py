"""The columns of a case's row: the one table to which a field is added.

A field is added in three places, all here: its line in the table, ``BEFORE`` (what a row without it is read as) and,
once a version has been released, ``SCHEMA_VERSION``. It is documented in docs/results.md.
"""

from collections.abc import Mapping

import pyarrow as pa

SCHEMA_VERSION = 3

# Lists and structs only, no maps: Hugging Face's `datasets` has no type for them.
_TEXTS = pa.list_(pa.string())
_VOTE = pa.struct(
    [
        ("intern", pa.string()),
        ("temperature", pa.float64()),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("verdict", pa.string()),
        ("judge_reply", pa.string()),
        ("failure", pa.string()),
    ]
)
_CHECK = pa.struct([("step", pa.int32()), ("verdict", pa.string()), ("reply", pa.string()), ("failure", pa.string())])
_NODE = pa.struct(
    [
        ("id", pa.int32()),
        ("parent", pa.int32()),
        ("attempt", pa.int32()),
        ("round", pa.int32()),
        ("mentor", pa.string()),
        ("step", pa.string()),
        ("steps", _TEXTS),
        ("rest", pa.string()),
        ("score", pa.float64()),
        ("unasked", pa.int32()),
        ("chosen", pa.bool_()),
        ("leaks", _TEXTS),
        ("leak_checks", pa.list_(_CHECK)),
        ("failure", pa.string()),
        ("votes", pa.list_(_VOTE)),
    ]
)
_LEAK = pa.struct([("step", pa.int32()), ("kind", pa.string())])
_SCORES = pa.struct([("mentor", pa.string()), ("scores", pa.list_(pa.float64()))])
_USAGE = pa.struct(
    [
        ("model", pa.string()),
        ("calls", pa.int64()),
        ("cached_calls", pa.int64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("case_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("other_answers", _TEXTS),
        ("context", pa.string()),
        ("context_names_answer", pa.bool_()),
        ("images", _TEXTS),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("quality", pa.string()),
        ("steps", _TEXTS),
        ("final_answer", pa.string()),
        ("reasoning", pa.string()),
        ("leaks", pa.list_(_LEAK)),
        ("leak_checks", pa.list_(_CHECK)),
        ("rounds", pa.int32()),
        ("mentors", _TEXTS),
        ("scores", pa.list_(_SCORES)),
        ("nodes", pa.list_(_NODE)),
        ("usage", pa.list_(_USAGE)),
        ("attempts", pa.int32()),
        ("seconds", pa.float64()),
        ("seed", pa.int64()),
        ("config_digest", pa.string()),
        ("code_version", pa.string()),
        ("schema_version", pa.int32()),
    ]
)
"""Columns of a row. Null only where it means something: no parent, no score, no failure, not looked at.

``unasked`` of a node counts its votes that were left out (``search.adaptive``); a node with any has no score.

``leaks`` are those of the chain (steps numbered from 1), ``leaks`` of a node the kinds in its own steps; see
:mod:`mics_ray.core.leaks`. ``leak_checks`` is what the judge said of the same steps, empty where it was not asked.
"""

BEFORE: Mapping[str, object] = {
    "usage.cached_tokens": 0,
    "usage.reasoning_tokens": 0,
    "other_answers": [],
    "context": "",
    "context_names_answer": None,
    "leak_checks": [],
    "nodes.leak_checks": [],
    "nodes.unasked": 0,
}
"""Fields that rows of version 2, or of an earlier version 3, do not have, by their path: what they are read as there.

Those that say how a row was made, or follow from others, go into :data:`mics_ray.replay.committed_rows.NOT_CANONICAL`
too, or a replay of an earlier run differs in them.
"""
