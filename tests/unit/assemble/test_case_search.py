"""One case from the record to its result: who is told what."""

from dataclasses import replace

import pytest

from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.core.types import Case, Note
from mics_ray.io.rows import Stamp, result_row
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Pictures, Reply, Request
from tests.support.demo_config import compose_demo

CASE = Case(
    "c",
    "Which disease?",
    "canary gold",
    notes=(Note("Complaint", "Canary gold?"), Note("Age", "canary years"), Note("Findings", "canary caption")),
)


class Recorder:
    """Mentors and interns that answer at once, and all that they are asked by role."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {"mentor": [], "intern": [], "judge": []}

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        role = "mentor" if request.system else "judge" if request.entry == "judge" else "intern"
        self.texts[role].append(request.text)
        return Reply("Yes" if role == "judge" else "### Step 1: Look.\n\n### The final answer is: x")


@pytest.mark.parametrize(
    ("context", "seen", "told"),
    [
        ("[complaint,age,gender]", ("Canary gold?", "canary years"), "colleague sees: complaint, age."),
        ("[age]", ("canary years",), "colleague sees: age."),
        ("none", (), "colleague sees: nothing."),
    ],
)
async def test_interns_see_the_context_mentors_all_and_are_told_what_others_see(
    context: str, seen: tuple[str, ...], told: str
) -> None:
    config, recorder = compose_demo(f"data.context={context}"), Recorder()
    models = dict.fromkeys([*config.mentors, *config.interns, "judge"], recorder)
    panel = PanelBuilder(config, models).build_panel(None, None, UsageMeter())
    result = await run_case(config, build_strategy(config.search, tuple(config.mentors)), CASE, panel)
    secrets = ("Canary gold?", "canary years", "canary caption")
    for text in recorder.texts["mentor"]:
        assert told in text
        assert all(secret in text for secret in secrets)
    for text in recorder.texts["intern"]:
        assert [secret for secret in secrets if secret in text] == list(seen)
        assert "canary gold" not in text
    for text in recorder.texts["judge"]:
        assert not [secret for secret in secrets if secret in text]
    row = result_row(result, {}, 1.0, Stamp(0, "d", "1"))
    assert [secret for secret in secrets if secret in row["context"]] == list(seen)
    assert row["context_names_answer"] is ("Canary gold?" in seen)
    assert replace(result.case, context="") == CASE
