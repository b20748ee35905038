"""One case on the terminal: its question, its search tree, its chain."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from mics_ray.core.display import make_one_line, make_printable
from mics_ray.runtime.monitor.progress import COLOURS

CHOSEN = "*"
"""Before a chosen candidate; a letter that every terminal has, for colour alone is lost in a log and to some eyes."""


def draw_case(row: Mapping[str, Any]) -> Group:
    """One case for reading: its question, its tree (the chosen path marked by :data:`CHOSEN`), its chain."""
    head = Text.assemble(
        ("case ", "dim"), f"{make_one_line(row['case_id'])}  ",
        (row["outcome"], COLOURS[row["outcome"]]), f"  {make_one_line(row['reason'])}\n",
        ("question ", "dim"), make_printable(row["question"]), "\n",
        ("gold answer ", "dim"), make_printable(" or ".join([row["answer"], *row["other_answers"]])),
    )  # fmt: skip
    parts: list[RenderableType] = [head, _draw_tree(row)]
    if row["reasoning"]:
        parts.append(Panel(Text(make_printable(row["reasoning"])), title="the chain", title_align="left"))
    return Group(*parts)


def _draw_tree(row: Mapping[str, Any]) -> Tree:
    told = f"search tree (score = right votes / known votes; {CHOSEN} chosen, ! a leak)"
    tree = Tree(Text(told, "dim"))
    attempts: dict[int, Tree] = {}
    branches: dict[int, Tree] = {}
    for node in row["nodes"]:
        number = node["attempt"]
        if number not in attempts:
            attempts[number] = tree if row["attempts"] == 1 else tree.add(Text(f"attempt {number}", "dim"))
        parent = attempts[number] if node["parent"] is None else branches[node["parent"]]
        branches[node["id"]] = parent.add(_node_label(node))
    return tree


def _node_label(node: Mapping[str, Any]) -> Text:
    score = "no score" if node["score"] is None else f"{node['score']:.2f}"
    unknown = sum(vote["verdict"] == "unknown" for vote in node["votes"])
    # Without it, three right of three known would look like six of six.
    left = {"unknown": unknown, "not asked for": node["unasked"]}
    told = ", ".join(f"{count} of {len(node['votes'])} votes {what}" for what, count in left.items() if count)
    doubt = f" ({told})" if told else ""
    mark = CHOSEN if node["chosen"] else " "
    leak = "! " if node["leaks"] or any(check["verdict"] == "leak" for check in node["leak_checks"]) else ""
    named = f"{mark} {score}{doubt}  {leak}{make_one_line(node['mentor'])}: "
    text = Text(named, "bold green" if node["chosen"] else "")
    said = node["failure"] or " ".join(node["step"].split())
    text.append(make_one_line(said), "italic red" if node["failure"] else "")
    return text
