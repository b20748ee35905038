"""`data.context`: which notes of a case interns are told."""

import re
from typing import Any

import pytest

from mics_ray.assemble.checks import check_job
from mics_ray.config.context import read_context
from mics_ray.config.identity import build_identity
from mics_ray.errors import RefusedRun
from tests.support.demo_config import compose_demo


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["complaint", "age", "gender"], ("complaint", "age", "gender")),
        (["gender", "complaint", "gender"], ("complaint", "gender")),
        ("age", ("age",)),
        ("none", ()),
        ([], ()),
        (None, ()),
    ],
)
def test_what_can_be_read(given: Any, read: tuple[str, ...]) -> None:
    assert read_context(given) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["complaints"], "unknown note 'complaints'; did you mean 'complaint'?"),
        (["findings"], "unknown note 'findings'; there is: complaint, age, gender, or none"),
        ("all", "unknown note 'all'"),
        (True, "must be none or a list"),
        ({"age": True}, "must be none or a list"),
        ([1], "must be none or a list"),
    ],
)
def test_what_cannot_be_read_is_said(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_context(given)


def test_the_presets_and_what_is_refused() -> None:
    shown = {
        search: read_context(compose_demo(search=search).data.context) for search in ("paper", "best_of_n", "reference")
    }
    assert shown == {
        "paper": ("complaint", "age", "gender"),
        "best_of_n": ("complaint", "age", "gender"),
        "reference": (),
    }
    assert read_context(compose_demo("data.context=[age]", search="reference").data.context) == ("age",)
    with pytest.raises(RefusedRun, match=r"data\.context: unknown note 'caption'"):
        check_job(compose_demo("data.context=[caption]"))


def test_it_decides_results_whatever_its_form() -> None:
    def view(*overrides: str) -> Any:
        return build_identity(compose_demo(*overrides), "")

    assert view("data.context=[age,complaint]") == view("data.context=[complaint,age]") != view()
    assert view("data.context=none") == view("data.context=[]")
    assert "data.context" not in view("data.context=none")
