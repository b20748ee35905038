"""B4 on real vLLM: prompt tokens of a tiny intern that its prefix cache serves, one replica against two."""

import json
import sys
from collections.abc import Iterator

from benchmarks.harness.figures import Figure, Goal, Setting
from benchmarks.harness.provider import ROOT, serve_provider
from benchmarks.harness.runs import FigureMaker, Spent, measure_spent, read_summary, run_watched, write_groups

INTERN = "tiny"
ENTRY = {"model": "embedded:interns/internvl", "max_model_len": 2048, "max_tokens": 32}
SAID = (
    "One run of the 32 embedded phantom cases with one and with two engines of a trained tiny intern; one engine sees"
    " every prompt, so what it serves from its cache is attainable here."
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """One engine, then two."""
    single, double = (serve_engines(setting, count) for count in (1, 2))
    yield FigureMaker("B4", [single[0]], SAID).of_values(
        "real vLLM: share of prompt tokens from the cache, 1 engine", "", (single[1],)
    )
    yield FigureMaker("B4", [double[0]], SAID).of_values(
        "real vLLM: of the attainable share, 2 engines", "", (double[1] / single[1],), Goal(">=", 0.97)
    )


def serve_engines(setting: Setting, count: int) -> tuple[Spent, float]:
    """A whole run; what it spent, and the share."""
    folder = setting.folder / f"engines-{count}"
    with serve_provider() as provider:
        write_groups(folder / "conf", provider.url)
        (folder / "conf/interns/engines.yaml").write_text(json.dumps({INTERN: {**ENTRY, "replicas": count}}))
        command = [
            sys.executable, f"{ROOT}/scripts/generate.py", "--config-dir", f"{folder}/conf", "experiment=demo",
            "mentors=bench", "interns=engines", "judge=bench", f"run.dir={folder}/run",
        ]  # fmt: skip
        spent = measure_spent(run_watched(command, provider), provider.read_stats())
    used = read_summary(folder)["usage"][INTERN]
    return spent, used["cached_tokens"] / used["prompt_tokens"]
