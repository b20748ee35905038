"""A plan on the screen."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mics_ray.command_line import make_table
from mics_ray.plan.advise import FULL, JobPlan
from mics_ray.plan.config import PlanConfig
from mics_ray.runtime.serving.placement import ClusterNode


def print_plan(console: Console, plan: JobPlan, question: PlanConfig, nodes: Sequence[ClusterNode]) -> None:
    """Print the places, the figures, the use of what is limited, and what more would bring."""
    console.print(_place_table(plan, nodes), _figure_table(plan, question), _use_table(plan), _gain_table(plan))


def _place_table(plan: JobPlan, nodes: Sequence[ClusterNode]) -> Table:
    gpus = sum(need.replicas * need.gpus * need.stages for need in plan.wanted)
    title = f"models on {gpus:g} of {sum(node.gpus for node in nodes):g} GPUs"
    table = make_table(title, "model", "replicas", "GPUs each", "nodes (replicas)")
    for need in plan.wanted:
        where = Counter("+".join(node.name for node in spot.nodes) for spot in plan.spots if spot.entry == need.entry)
        places = ", ".join(f"{name} ({count})" for name, count in where.items()) if need.gpus else "any, on the CPU"
        each = f"{need.gpus * need.stages:g} {need.accelerator or ''}".strip()
        table.add_row(need.entry, str(need.replicas), each, places)
    return table


def _figure_table(plan: JobPlan, question: PlanConfig) -> Table:
    table = make_table("expected", "figure", "value")
    table.add_row("cases an hour", f"{plan.cases_per_hour:,.0f}")
    table.add_row(f"hours for {question.cases:,} cases", f"{plan.hours:,.2f}")
    table.add_row("money for them", f"${plan.cost_usd:,.2f}")
    table.add_row("calls a second", f"{plan.calls_per_second:,.1f}")
    table.add_row("binds", plan.binds)
    return table


def _use_table(plan: JobPlan) -> Table:
    table = make_table("use of what is limited", "limit", "used")
    for name, share in sorted(plan.use.items(), key=lambda pair: -pair[1]):
        table.add_row(name, f"{share:.0%}", style="bold" if share >= FULL else "")
    return table


def _gain_table(plan: JobPlan) -> Table:
    table = make_table("what more would bring", "change", "cases an hour", "gain")
    for name, rate in plan.more.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / plan.cases_per_hour - 1:+.1%}")
    return table
