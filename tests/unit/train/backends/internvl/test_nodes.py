"""One node's process as its actor holds it, without Ray around it."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_internvl import make_checkout
from tests.support.processes import until, until_ended
from tests.support.program import ROOT
from train.backends.internvl import nodes
from train.backends.internvl.nodes import TrainerNode
from train.config import Backend, TrainConfig, UpstreamConfig

pytestmark = pytest.mark.heavy

IGNORES_SIGTERM = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def node(tmp_path: Path) -> TrainerNode:
    checkout = make_checkout(tmp_path / "InternVL")
    upstream = UpstreamConfig(checkout=str(checkout), python=sys.executable)
    return TrainerNode(TrainConfig(backend=Backend.internvl, model="m", dir="out", upstream=upstream))


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_node_names_the_files_that_it_does_not_see(node: TrainerNode, tmp_path: Path) -> None:
    facts = node.report_facts([str(tmp_path), str(tmp_path / "gone")])
    assert facts.missing == [str(tmp_path / "gone")]
    assert 0 < facts.port < 65536


def test_output_is_added_to_a_private_log_whose_end_is_shown(node: TrainerNode, tmp_path: Path) -> None:
    log = tmp_path / "node-0.log"
    for word in ("first", "second"):
        node.start_process(
            program(f"import sys; print('x' * 50_000); print('{word}', file=sys.stderr); sys.exit(3)"), str(log)
        )
        until(lambda: node.poll_process() is not None, 30)
    assert node.poll_process() == 3
    assert "first" in log.read_text()
    assert node.read_log_tail()[-1] == "second"
    assert sum(map(len, node.read_log_tail())) < 20_000
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_process_runs_in_the_checkout_with_the_trainers_variables(
    node: TrainerNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    monkeypatch.setenv("RAY_SOMETHING", "1")
    text = "import os; print(os.getcwd(), os.environ['LAUNCHER'], {'SOME_API_KEY', 'RAY_SOMETHING'} & set(os.environ))"
    node.start_process(program(text), str(tmp_path / "log"))
    until(lambda: node.poll_process() == 0, 30)
    assert node.read_log_tail() == [f"{tmp_path}/InternVL/internvl_chat pytorch set()"]


def test_a_process_that_will_not_end_is_killed_with_what_it_started(
    node: TrainerNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "STOP_S", 0.1)
    node.start_process(program(IGNORES_SIGTERM), str(tmp_path / "log"))
    until(lambda: node.read_log_tail(), 30)
    child = int(node.read_log_tail()[0].split()[1])
    node.stop_process()
    assert node.poll_process() == -signal.SIGKILL
    until_ended(child)


ACTOR = """
import os, signal, sys, time
from pathlib import Path
from train.backends.internvl.nodes import TrainerNode
from train.config import Backend, TrainConfig, UpstreamConfig
LAUNCHER = (
    "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('SIGTERM'), sys.exit())); "
    "print(os.getpid(), flush=True); time.sleep(600)"
)
checkout, *logs = sys.argv[1:]
upstream = UpstreamConfig(checkout=checkout, python=sys.executable)
nodes = [TrainerNode(TrainConfig(backend=Backend.internvl, model="m", dir="out", upstream=upstream)) for _ in logs]
for node, log in zip(nodes, logs):
    node.start_process([sys.executable, "-c", LAUNCHER], log)
    while not node.read_log_tail():
        time.sleep(0.02)
os.kill(nodes[0]._process.pid, signal.SIGKILL)
while not Path(logs[0]).read_text().endswith("SIGTERM\\n"):
    time.sleep(0.02)
print(Path(logs[1]).read_text(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_launchers_end_in_good_order_where_ray_kills_the_actor_or_its_child(node: TrainerNode, tmp_path: Path) -> None:
    logs = [tmp_path / "child-killed", tmp_path / "actor-killed"]
    words = [str(tmp_path / "InternVL"), *map(str, logs)]
    actor = subprocess.run(
        [*program(ACTOR), *words], cwd=ROOT, timeout=120, check=False, capture_output=True, text=True
    )
    assert actor.returncode == -signal.SIGKILL, actor.stderr
    assert "SIGTERM" not in actor.stdout, "one child's end is not the other's"
    for log in logs:
        until(lambda log=log: log.read_text().endswith("SIGTERM\n"), 30)
        until_ended(int(log.read_text().split()[0]))


def test_a_stop_reaches_the_launcher_once(node: TrainerNode, tmp_path: Path) -> None:
    hears = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('heard', flush=True)); "
    node.start_process(program(hears + "print('up', flush=True); time.sleep(0.5)"), str(tmp_path / "log"))
    until(lambda: node.read_log_tail() == ["up"], 30)
    node.stop_process()
    assert node.read_log_tail() == ["up", "heard"]
    assert node.poll_process() == 0


def test_stopping_what_has_not_begun_is_nothing(node: TrainerNode) -> None:
    node.stop_process()
    assert node.poll_process() is None
