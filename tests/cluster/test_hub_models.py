"""Runs whose interns lie on a stand-in hub: one download, a token that only the download has, one line of refusal."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import Hub
from tests.support.processes import ProcessLooks
from tests.support.program import ROOT, generate, rows
from tests.support.provider import Provider, write_cases
from tests.support.ray_nodes import ray_nodes

pytestmark = pytest.mark.cluster

TOKEN = "hf_" + "Canary5b1f0c77e2"
TINY = ROOT / "mics_ray/local/interns/internvl"
INTERN = "{engine: vllm, model: owner/tiny, max_model_len: 2048, max_tokens: 16, replicas: 2}"

NODES_OWN = {"ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""Ray starts these with a node's environment before there is a job; those of a job are started without its tokens."""


class Environments:
    """Notes the kind (`ray::SearchWorker`, …) of each process that it looks at, and of those with the token."""

    def __init__(self) -> None:
        self.holding: set[str] = set()
        self.seen: set[str] = set()

    def look(self, folder: Path) -> None:
        """See :class:`tests.support.processes.ProcessLooks`."""
        environment, words = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        kind = words.replace(b"\0", b" ").strip().decode(errors="replace").split(" ")[0]
        self.seen.add(kind)
        self.holding |= {kind} if TOKEN.encode() in environment else set()


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def arguments(folder: Path, provider: Provider) -> list[str]:
    provider.write_groups(folder / "conf", interns=False)
    (folder / "conf/interns").mkdir()
    (folder / "conf/interns/test.yaml").write_text(f"tiny: {INTERN}\n")
    write_cases(folder / "cases.jsonl", 3)
    return [
        "--config-dir", str(folder / "conf"), "mentors=test", "interns=test", "judge=test",
        f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run",
    ]  # fmt: skip


def environment(hub: Hub, folder: Path, ray_folder: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hub"), "RAY_TMPDIR": str(ray_folder)}


@pytest.mark.slow
def test_a_gated_model_is_fetched_once_by_what_alone_has_the_token(tmp_path: Path, ray_folder: Path) -> None:
    looked = Environments()
    with Hub(TINY, TOKEN) as hub, Provider() as provider, ProcessLooks(looked.look, os.getpid()):
        words, env = arguments(tmp_path, provider), environment(hub, tmp_path, ray_folder)
        refused = generate(*words, **env)
        assert refused.returncode == 78, refused.stderr
        last = refused.stderr.splitlines()[-1]
        assert ": owner/tiny: gated on the hub; ask for access on its page, and set HF_TOKEN to" in last
        done = generate(*words, **env, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "run")) == 3
    assert hub.count_gets("model.safetensors") == 1
    started = {kind for kind in looked.seen if kind.startswith("ray::")}
    assert {"ray::SearchWorker", "ray::EndpointActor", "ray::WriterActor", "ray::ModelReplica"} <= {
        kind.split(".")[0] for kind in started
    }
    assert {kind for kind in looked.holding if "python" not in kind} == set()
    files = [path for folder in (tmp_path, ray_folder) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if not path.is_symlink() and TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.slow
def test_nodes_with_their_own_disks_fetch_for_themselves(tmp_path: Path) -> None:
    with Hub(TINY, TOKEN) as hub, Provider() as provider, ray_nodes(HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN) as nodes:
        for number in range(2):
            nodes.environment["HF_HOME"] = str(tmp_path / f"hub-{number}")
            nodes.add(cpus=2) if number else nodes.start_head(cpus=1)
        looked = Environments()
        with ProcessLooks(looked.look, os.getpid()):
            done = generate(
                *arguments(tmp_path, provider), f"ray.address={nodes.address}", **nodes.environment | {"HF_TOKEN": ""}
            )
    assert done.returncode == 0, done.stderr
    assert hub.count_gets("model.safetensors") in (1, 2)  # as many as nodes that replicas came to
    holding = {kind for kind in looked.holding if kind.startswith("ray::")}
    assert holding - NODES_OWN == {"ray::_fetch_copy"}
    assert {kind for kind in looked.seen if kind.startswith("ray::SearchWorker")}
