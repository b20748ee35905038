"""Searches in this process, with all models behind a provider of the tests over real HTTP."""

from pathlib import Path
from typing import Any

from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.locations import JUDGE
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.assemble.probe import probe_models
from mics_ray.config.compose import compose_config
from mics_ray.core.types import Case
from mics_ray.io.cases import read_span, survey_cases
from mics_ray.io.rows import Stamp, result_row
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.replies.ledger import Ledger
from mics_ray.models.roles import UsageMeter
from tests.support.provider import Provider, write_cases

CASES = 3
ROOM = 4096


async def search(
    folder: Path,
    provider: Provider,
    cases: int = CASES,
    ledger: Ledger | None = None,
    probe: bool = False,
    **settings: Any,
) -> list[dict[str, Any]]:
    """The rows of a few cases, after a probe where one is wanted; ``settings`` stand in every entry."""
    provider.write_groups(folder / "conf", **{"max_tokens": ROOM, **settings})
    write_cases(folder / "cases.jsonl", cases)
    chosen = ["mentors=test", "interns=test", "judge=test", f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run"]
    config = compose_config([*chosen, "search.max_rounds=2", "search.restarts=0"], folder / "conf")
    entries = {**config.mentors, **config.interns, JUDGE: config.judge}
    if probe:
        await probe_models(config, ledger, with_pictures=False)
    endpoint, rows = Endpoint(entries, None, None, ledger, proven=True), []
    try:
        builder = PanelBuilder(config, dict.fromkeys(entries, endpoint))
        for span in survey_cases(str(folder / "cases.jsonl")).spans:
            for case in read_span(span):
                assert isinstance(case, Case)
                meter = UsageMeter()
                panel = builder.build_panel(None, None, meter)
                result = await run_case(config, build_strategy(config.search, tuple(config.mentors)), case, panel)
                rows.append(result_row(result, meter.usage, 1.0, Stamp(config.seed, "digest", "1")))
    finally:
        await endpoint.close()
    return rows
