"""Asking ``kubectl`` about one namespace."""

import json
import shutil
import subprocess
from typing import Any

from mics_ray.errors import RefusedRun


class Kubectl:
    """``kubectl`` with a namespace. What it refuses is a :class:`RefusedRun` with the last line that it said."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def build_command(self, *words: str) -> list[str]:
        """The command line of a question."""
        return ["kubectl", "--namespace", self._namespace, *words]

    def run(self, *words: str, hint: str = "") -> str:
        """What it prints. ``hint`` says whose fault an error is."""
        if shutil.which("kubectl") is None:
            raise RefusedRun("kubectl: no such program; ask from a machine that reaches the cluster with it")
        done = subprocess.run(self.build_command(*words), capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
            raise RefusedRun(f"kubectl {' '.join(words[:2])}: {said}{f' ({hint})' if hint else ''}")
        return done.stdout

    def list_objects(self, *words: str) -> list[dict[str, Any]]:
        """The objects that ``kubectl get WORDS`` finds; none where this account may not look."""
        try:
            found: list[dict[str, Any]] = json.loads(self.run("get", *words, "-o", "json")).get("items", [])
        except (RefusedRun, ValueError):
            return []
        return found
