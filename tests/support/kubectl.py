"""A stand-in for kubectl and the cluster behind it, as files of one folder; it logs what it is asked."""

import json
from pathlib import Path
from typing import Any

KUBECTL = """#!/bin/sh
echo "$*" >> "$KUBE/log"
case "$*" in
  *"get crd"*) [ -e "$KUBE/operator" ] || { echo 'error: the server does not know rayjobs' >&2; exit 1; } ;;
  *"get pvc"*) [ -e "$KUBE/pvc" ] || { echo 'Error: persistentvolumeclaims "results" not found' >&2; exit 1; } ;;
  *"get serviceaccount"*|*"get secret registry"*) [ -e "$KUBE/account" ] || { echo 'Error: not found' >&2; exit 1; } ;;
  *"get secret"*) cat "$KUBE/secret" ;;
  *"get rayjob"*) [ ! -e "$KUBE/rayjob" ] || cat "$KUBE/rayjob" ;;
  *"get pods"*json*) cat "$KUBE/pods" 2>/dev/null || echo '{"items": []}' ;;
  *"get pods"*) echo pod/head ;;
  *"get events"*) cat "$KUBE/events-${5##*=}" 2>/dev/null || { echo 'Error: events is forbidden' >&2; exit 1; } ;;
  *"job logs"*) echo 'the log'; cp "$KUBE/after" "$KUBE/rayjob" ;;
  *"delete rayjob"*) [ ! -e "$KUBE/undeletable" ] || { echo 'Error: forbidden' >&2; exit 1; } ;;
  *apply*) echo 'rayjob created'; [ -e "$KUBE/running" ] && cp "$KUBE/running" "$KUBE/rayjob" || true ;;
esac
"""


def write_kubectl(folder: Path) -> None:
    """A cluster with an operator, a volume and the keys of the paper's models; ``folder`` goes on the path."""
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    for name in ("operator", "pvc", "log"):
        (folder / name).touch()
    (folder / "secret").write_text("OPENAI_API_KEY GEMINI_API_KEY DASHSCOPE_API_KEY DEEPSEEK_API_KEY")


def standing(folder: Path, name: str, **status: Any) -> None:
    """Write a RayJob with this status: ``rayjob`` is the one that is there, ``running`` what it becomes when it is
    applied, ``after`` when its log has been read."""
    (folder / name).write_text(json.dumps({"status": {"rayClusterName": "c", **status}}))


def write_list(folder: Path, name: str, *items: dict[str, Any]) -> None:
    """Write what ``kubectl get NAME`` lists: ``pods``, or ``events-OBJECT``."""
    (folder / name).write_text(json.dumps({"items": list(items)}))
