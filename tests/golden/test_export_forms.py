"""The other forms of an export, compared with stored ones: `export_FORM.jsonl`.

A difference means that trainers read something else from the same searches. Where that is meant:
`pytest tests/golden --regenerate-golden`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mics_ray.config.schema import PromptsConfig
from tests.support.searched_samples import prompts, samples
from train.export.forms.chat import chat_records
from train.export.forms.pairs import chain_pairs, step_pairs, to_mpo_record
from train.export.forms.rewards import reward_rows, stepwise_rows
from train.export.samples import Sample

Form = Callable[[Sequence[Sample], PromptsConfig], Iterator[dict[str, Any]]]


def mpo(form: Form) -> Form:
    return lambda some, texts: map(to_mpo_record, form(some, texts))


FORMS: dict[str, Form] = {
    "step_pairs": step_pairs,
    "chain_pairs": chain_pairs,
    "step_pairs_mpo": mpo(step_pairs),
    "chain_pairs_mpo": mpo(chain_pairs),
    "rewards": reward_rows,
    "rewards_stepwise": stepwise_rows,
    "chat": chat_records,
}


@pytest.mark.parametrize("name", FORMS)
def test_records_are_the_stored_ones(name: str, regenerate: bool) -> None:
    found = [json.loads(json.dumps(record)) for record in FORMS[name](samples(), prompts())]
    stored = Path(__file__).parent / f"export_{name}.jsonl"
    if regenerate:
        stored.write_text("".join(f"{json.dumps(record)}\n" for record in found))
    assert found == [json.loads(line) for line in stored.read_text().splitlines()]
    assert found
    assert len({record["id"] for record in found}) == len(found)
