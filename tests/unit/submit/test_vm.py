"""Files for Ray's cluster launcher: Ray's own validation takes them; sized by the interns, without a secret."""

import copy
import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.runtime.serving.autoscaler import Group, read_launcher_file
from mics_ray.runtime.serving.placement import ReplicaNeed
from mics_ray.submit.command import SubmitArguments, run_action
from mics_ray.submit.config import MachineType, VmConfig, compose_cluster
from mics_ray.submit.job import SubmittedJob, describe_job
from mics_ray.submit.vm import Vm
from mics_ray.submit.vm_file import build_cluster_file, count_machines

JOB = ("mentors=paper", "interns=paper", "judge=deepseek", "data.cases=cases.jsonl", "run.dir=runs/first")
KEYS = ("DASHSCOPE_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")
CANARY = "sk-canary-0123456789abcdef"
PLACES = {"aws": ("us-west-2", "us-west-2a", "null"), "gcp": ("us-central1", "us-central1-a", "my-project")}


@lru_cache
def described(*more: str) -> SubmittedJob:
    return describe_job([*JOB, *more], None, "/shared")


def words(provider: str, folder: Path, *more: str) -> tuple[str, ...]:
    region, zone, project = PLACES[provider]
    return (
        "cluster=vm", f"cluster.provider={provider}", f"cluster.region={region}", f"cluster.zone={zone}",
        f"cluster.project={project}", "cluster.image=mics:gpu", "cluster.volume=/shared",
        f"cluster.dir={folder}/out", f"cluster.secrets_dir={folder}/keys", *more,
    )  # fmt: skip


def config(provider: str, folder: Path, *more: str) -> VmConfig:
    made = compose_cluster(words(provider, folder, *more), None)
    assert isinstance(made, VmConfig)
    return made


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in KEYS:
        (folder / name).write_text(CANARY)
    return folder


@pytest.mark.parametrize("provider", ["aws", "gcp"])
@pytest.mark.parametrize("spot", ["true", "false"])
def test_ray_validates_the_file(tmp_path: Path, provider: str, spot: str) -> None:
    made = build_cluster_file(config(provider, tmp_path, f"cluster.spot={spot}"), described(), "/token")
    prepared = prepare_config(copy.deepcopy(made))
    validate_config(prepared)
    assert prepared["setup_commands"] == []
    assert prepared["worker_setup_commands"] == []
    assert set(prepared["available_node_types"]) == {"head", "gpu_1"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("max_workers",), "3"),
        (("head_node_type",), "none"),
        (("available_node_types", "gpu_1", "resources", "GPU"), "one"),
        (("docker", "imagee"), "x"),
        (("available_node_types", "gpu_1", "min_workers"), 99),
    ],
)
def test_what_ray_would_refuse_is_found(tmp_path: Path, path: tuple[str, ...], value: object) -> None:
    made: Any = build_cluster_file(config("aws", tmp_path), described(), "/token")
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(Exception, match=r".") as raised:
        validate_config(prepare_config(made))
    assert not isinstance(raised.value, AttributeError | KeyError)


def test_each_intern_goes_to_the_smallest_machine_that_holds_it() -> None:
    machines = {"one": MachineType("a", 8, 1), "four": MachineType("b", 48, 4), "eight": MachineType("c", 192, 8)}
    wanted = [
        ReplicaNeed("small", 1, 0.25, 1.0, 9),
        ReplicaNeed("wide", 1, 2, 1.0, 3),
        ReplicaNeed("pipeline", 1, 8, 1.0, 1, 2),
    ]
    assert count_machines(wanted, machines) == {"one": 3, "four": 2, "eight": 2}
    with pytest.raises(RefusedRun, match="huge needs 16 GPUs on one machine, the biggest has 8"):
        count_machines([ReplicaNeed("huge", 1, 16, 1.0)], machines)


def test_an_intern_that_names_its_accelerator_goes_to_a_machine_that_has_it(tmp_path: Path) -> None:
    machines = {
        "old": MachineType("a", 8, 1, "T4"),
        "new": MachineType("b", 48, 4, "H100"),
        "any": MachineType("c", 8, 2),
    }
    named = ReplicaNeed("named", 2, 1, 1.0, accelerator="H100")
    assert count_machines([named, ReplicaNeed("small", 1, 1, 1.0)], machines) == {"new": 1, "old": 1}
    with pytest.raises(RefusedRun, match="wide needs 8 GPUs of T4 on one machine, the biggest of T4 has 1"):
        count_machines([ReplicaNeed("wide", 1, 8, 1.0, accelerator="T4")], machines)


def test_machines_follow_the_interns_in_the_same_configuration(tmp_path: Path) -> None:
    job = described("interns.internvl3_8b.tensor_parallel=4", "interns.qwen2_vl_7b.replicas={min: 1, max: 3}")
    types = build_cluster_file(config("gcp", tmp_path), job, "/token")["available_node_types"]
    assert {name: one["max_workers"] for name, one in types.items()} == {"head": 0, "gpu_1": 4, "gpu_4": 1}
    assert types["gpu_4"]["resources"] == {"CPU": 48, "GPU": 4, "accelerator_type:L4": 1}
    assert "GPU" not in types["head"]["resources"]


def test_the_run_on_the_head_sees_what_the_autoscaler_can_add(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text(yaml.safe_dump(build_cluster_file(config("aws", tmp_path), described(), "/token")))
    assert read_launcher_file(file) == [Group("gpu_1", 1, 8, 3, ("A10G",))]


def test_the_cluster_asks_for_a_token_and_listens_inside_only(tmp_path: Path) -> None:
    made = build_cluster_file(config("aws", tmp_path), described(), "/token")
    assert "-e RAY_AUTH_MODE=token" in made["docker"]["run_options"]
    assert "--dashboard-host=127.0.0.1" in made["head_start_ray_commands"][-1]
    assert list(made["file_mounts"].values()) == ["/token"]


@pytest.mark.usefixtures("no_cloud_package")
def test_without_the_clouds_package_the_files_are_written_and_the_commands_said(tmp_path: Path, keys: Path) -> None:
    said: list[str] = []
    assert run_action(SubmitArguments("submit", True, False, words("aws", tmp_path), JOB, None), said.append) == EXIT_OK
    made, token = sorted((tmp_path / "out").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (made, token)} == {0o600}
    validate_config(prepare_config(yaml.safe_load(made.read_text())))
    assert CANARY not in made.read_text() + "".join(said)
    assert token.read_text() not in made.read_text()
    assert said[1] == f"  ray up --yes {made}"
    assert "cluster.secrets_dir=/home/mics/secrets" in said[-1]
    assert "run.dir=runs/first" in said[-1]


@pytest.mark.usefixtures("no_cloud_package")
def test_a_second_submit_keeps_cluster_and_token(tmp_path: Path, keys: Path) -> None:
    order = SubmitArguments("submit", True, False, words("aws", tmp_path), JOB, None)
    run_action(order, print)
    first = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    run_action(order, print)
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == first


@pytest.mark.usefixtures("no_cloud_package")
def test_without_the_clouds_package_the_head_cannot_be_asked(tmp_path: Path, keys: Path) -> None:
    vm = Vm(config("aws", tmp_path), print)
    vm.submit(described(), detach=True)
    with pytest.raises(RefusedRun, match="boto3 is not installed"):
        vm.stop(described())


def test_group_files_with_a_key_do_not_reach_the_head(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "mine/mentors").mkdir(parents=True)
    (tmp_path / "mine/mentors/x.yaml").write_text(f"a: {{model: m, base_url: {CANARY}}}")
    with pytest.raises(RefusedRun, match=r"x\.yaml") as refused:
        Vm(config("aws", tmp_path), print).submit(describe_job([*JOB], tmp_path / "mine", "/shared"), detach=True)
    assert CANARY not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_of_the_config_dir_only_group_files_reach_the_head(tmp_path: Path, keys: Path, ray_tool: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "mentors").mkdir(parents=True)
    (mine / "mentors/x.yaml").write_text("a: {model: m, base_url: 'http://h/v1', api_key_env: OPENAI_API_KEY}")
    (mine / "cases.jsonl").write_text("a patient")
    (mine / "mentors/notes.txt").write_text(CANARY)
    vm = Vm(config("aws", tmp_path), print)
    for _ in range(2):
        assert vm.submit(describe_job([*JOB], mine, "/shared"), detach=True) == EXIT_OK
    staged, there = ray_tool.read_text().splitlines()[2].split()[-2:]
    assert there == "/home/mics/conf/"
    assert [path.relative_to(staged).as_posix() for path in Path(staged).rglob("*.*")] == ["mentors/x.yaml"]


def test_a_config_dir_with_the_cluster_alone_sends_nothing(tmp_path: Path, keys: Path, ray_tool: Path) -> None:
    (tmp_path / "mine/cluster").mkdir(parents=True)
    (tmp_path / "mine/cluster/ours.yaml").write_text("kind: vm")
    Vm(config("aws", tmp_path), print).submit(describe_job([*JOB], tmp_path / "mine", "/shared"), detach=True)
    said = ray_tool.read_text()
    assert said.count("rsync-up") == 1, "the keys"
    assert "--config-dir" not in said


@pytest.fixture
def ray_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for ``ray`` that keeps its arguments; it fails on what the file ``fails`` names."""
    tool = tmp_path / "bin/ray"
    tool.parent.mkdir()
    log, fails = tmp_path / "log", tmp_path / "fails"
    tool.write_text(f'#!/bin/sh\necho "$*" >> {log}\n[ "$1" != "$(cat {fails} 2>/dev/null)" ]\n')
    tool.chmod(0o755)
    monkeypatch.setattr("mics_ray.submit.vm.sys.executable", str(tmp_path / "bin/python"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    return log


def test_the_machines_come_up_the_keys_go_to_the_head_and_the_job_starts_there(
    tmp_path: Path, keys: Path, ray_tool: Path
) -> None:
    vm = Vm(config("aws", tmp_path), print)
    assert vm.submit(described(), detach=False) == EXIT_OK
    up, sync, job = ray_tool.read_text().splitlines()
    assert up.startswith("up --yes ")
    assert sync.endswith(f"{keys}/ /home/mics/secrets/")
    assert "cluster=existing" in job
    assert vm.stop(described()) == EXIT_OK
    assert "submit.py stop cluster=existing" in ray_tool.read_text().splitlines()[-1]


@pytest.mark.parametrize("token", [True, False])
def test_the_token_for_models_goes_to_the_head_where_there_is_one(tmp_path: Path, ray_tool: Path, token: bool) -> None:
    (tmp_path / "keys").mkdir()
    if token:
        (tmp_path / "keys/HF_TOKEN").write_text(CANARY)
    job = describe_job(["experiment=offline", "data.cases=cases.jsonl", "run.dir=runs/x"], None, "/shared")
    assert Vm(config("aws", tmp_path), print).submit(job, detach=True) == EXIT_OK
    said = ray_tool.read_text()
    assert said.count("rsync-up") == said.count("cluster.secrets_dir=/home/mics/secrets") == int(token)
    assert CANARY not in said


@pytest.mark.parametrize(("step", "ending"), [("up", None), ("exec", EXIT_STOPPED)])
def test_a_step_that_fails_ends_truthfully(
    tmp_path: Path, keys: Path, ray_tool: Path, step: str, ending: int | None
) -> None:
    (tmp_path / "fails").write_text(step)
    vm = Vm(config("aws", tmp_path), print)
    if ending is None:
        with pytest.raises(RefusedRun, match="ray up failed"):
            vm.submit(described(), detach=False)
        assert len(ray_tool.read_text().splitlines()) == 1
    else:
        assert vm.submit(described(), detach=False) == ending


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("cluster.provider=azure", "cluster.provider"),
        ("cluster.volume=shared", "cluster.volume"),
        ("cluster.project=null", "cluster.project"),
        ("cluster.secrets_dir=null", "cluster.secrets_dir: the job needs DASHSCOPE_API_KEY"),
        ("~cluster.gcp.head", "no machine for `head`"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path: Path, keys: Path, wrong: str, named: str) -> None:
    with pytest.raises(RefusedRun, match=named):
        run_action(SubmitArguments("submit", True, False, words("gcp", tmp_path, wrong), JOB, None), print)
    assert not (tmp_path / "out").exists()


def test_the_environment_has_no_part_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    made = build_cluster_file(config("aws", tmp_path), described(), "/token")
    assert os.environ["OPENAI_API_KEY"] not in yaml.safe_dump(made)


@pytest.mark.parametrize("spot", [True, False])
def test_only_machines_with_gpus_may_be_taken_back(tmp_path: Path, spot: bool) -> None:
    more = f"cluster.spot={str(spot).lower()}"
    aws = build_cluster_file(config("aws", tmp_path, more), described(), "/token")["available_node_types"]
    assert ("InstanceMarketOptions" in aws["gpu_1"]["node_config"]) is spot
    assert "InstanceMarketOptions" not in aws["head"]["node_config"]
    gcp = build_cluster_file(config("gcp", tmp_path, more), described(), "/token")["available_node_types"]
    assert gcp["gpu_1"]["node_config"]["scheduling"] == [{"onHostMaintenance": "TERMINATE", "preemptible": spot}]
    assert "scheduling" not in gcp["head"]["node_config"]


def test_each_setting_stands_where_the_launcher_reads_it(tmp_path: Path) -> None:
    more = ("cluster.machine_image=image-1", "cluster.idle_minutes=7", "cluster.disk_gb=33", "cluster.user=me")
    aws = build_cluster_file(config("aws", tmp_path, *more), described(), "/token")
    assert (aws["idle_timeout_minutes"], aws["auth"], aws["max_workers"]) == (7, {"ssh_user": "me"}, 3)
    assert aws["provider"]["cache_stopped_nodes"] is False
    head = aws["available_node_types"]["head"]["node_config"]
    assert (head["ImageId"], head["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]) == ("image-1", 33)
    gcp = build_cluster_file(config("gcp", tmp_path, *more), described(), "/token")
    assert gcp["provider"]["project_id"] == "my-project"
    (disk,) = gcp["available_node_types"]["head"]["node_config"]["disks"]
    assert disk["initializeParams"] == {"diskSizeGb": 33, "sourceImage": "image-1"}
    assert "boto3" in aws["head_setup_commands"][0]
    assert "google-api-python-client" in gcp["head_setup_commands"][0]


def test_shares_of_a_gpu_come_from_a_single_one() -> None:
    two = {"two": MachineType("a", 8, 2)}
    assert count_machines([ReplicaNeed("third", 1, 1 / 3, 1.0, 7)], two) == {"two": 2}
    assert count_machines([ReplicaNeed("most", 1, 0.6, 1.0, 3)], two) == {"two": 2}
    assert count_machines([ReplicaNeed("on_cpu", 1, 0.0, 1.0, 3)], two) == {}
