"""How tokens are drawn beside the temperature: what an entry or a preset may say."""

import re
from typing import Any

import pytest

from mics_ray.config.sampling import read_sampling


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, None),
        ("model", "model"),
        ({}, {}),
        ({"top_p": 1}, {"top_p": 1.0}),
        ({"top_p": 0.001, "top_k": 1, "min_p": None}, {"top_p": 0.001, "top_k": 1}),
        (
            {"top_k": 50.0, "min_p": 0, "repetition_penalty": 1.05},
            {"top_k": 50, "min_p": 0.0, "repetition_penalty": 1.05},
        ),
        ({"top_k": -1}, {"top_k": -1}),
    ],
)
def test_what_can_be_read(given: Any, read: Any) -> None:
    assert read_sampling(given) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("modell", "must be model or a mapping"),
        (0.9, "must be model or a mapping"),
        (["top_p"], "must be model or a mapping"),
        ({"topp": 0.9}, "did you mean 'top_p'?"),
        ({"temperature": 1.0}, "unknown name 'temperature'"),
        ({"top_p": 0}, "top_p 0 is not above 0"),
        ({"top_p": 1.5}, "at most 1"),
        ({"top_p": float("nan")}, "top_p is not a number"),
        ({"top_p": "0.9"}, "top_p is not a number"),
        ({"top_k": True}, "top_k is not a number"),
        ({"top_k": 2.5}, "top_k 2.5 is not a whole number"),
        ({"top_k": -2}, "top_k -2 is not a whole number"),
        ({"min_p": -0.1}, "min_p -0.1 is not between 0 and 1"),
        ({"repetition_penalty": 0}, "repetition_penalty 0 is not above 0"),
    ],
)
def test_what_cannot_be_read_is_said(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_sampling(given)
