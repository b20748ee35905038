"""KubeRay's objects: valid by the published schemas, sized by the interns, no secret in them; what kubectl is told."""

import copy
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _get_ray_resources_from_group_spec

from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.runtime.serving.placement import ReplicaNeed
from mics_ray.submit.command import SubmitArguments, run_action
from mics_ray.submit.config import KuberayConfig, compose_cluster
from mics_ray.submit.job import SubmittedJob, describe_job
from mics_ray.submit.kuberay.cluster import Kuberay
from mics_ray.submit.kuberay.manifest import PodGroup, build_manifests, worker_groups
from tests.support.kubectl import standing
from tests.support.kubernetes import problems

JOB = ("mentors=paper", "interns=paper", "judge=deepseek", "data.cases=cases.jsonl", "run.dir=runs/first")
CONFIG = KuberayConfig(image="mics:gpu", volume_claim="results", secret="mics-keys")


@lru_cache
def described(*more: str) -> SubmittedJob:
    return describe_job([*JOB, *more], None, "/data")


def ray_job(*more: str) -> dict[str, Any]:
    (made,) = build_manifests(CONFIG, described(*more))
    return made


def pods(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The head's pod, then one of each group."""
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_a_ray_job_is_valid_by_the_published_schemas() -> None:
    assert problems(ray_job("interns.internvl3_8b.replicas={min: 1, max: 4}")) == []


def test_a_standing_cluster_is_valid_too() -> None:
    (made,) = build_manifests(KuberayConfig(image="m", volume_claim="c", secret="s", standing=True), described())
    assert made["kind"] == "RayCluster"
    assert problems(made) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entryPoint"), "x"),
        (("spec", "backoffLimit"), "2"),
        (("spec", "submissionMode"), "HttpMode"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "minReplicas"), -1),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-gpus"), 0),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "imagee"), "x"),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "volumes", 0, "name"), "gone"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "replicas"), 9),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "restartPolicy"), "Always"),
        (("metadata", "name"), "Has_Capitals"),
    ],
)
def test_what_the_api_server_would_refuse_is_found(path: tuple[str | int, ...], value: object) -> None:
    broken = copy.deepcopy(ray_job())
    place: Any = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert problems(broken)


def test_each_intern_has_gpu_pods_of_its_own_size() -> None:
    assert worker_groups([ReplicaNeed("wide_one", 2, 4, 1.0, 5), ReplicaNeed("on_cpu", 1, 0, 0.0)]) == [
        PodGroup("wide-one", 2, 5, 4)
    ]


def test_small_interns_share_a_gpu_and_stages_have_a_pod_each() -> None:
    wanted = [
        ReplicaNeed("third", 4, 1 / 3, 1.0, 7),
        ReplicaNeed("most", 2, 0.6, 1.0),
        ReplicaNeed("pipeline", 2, 2, 1.0, 3, 3),
    ]
    assert worker_groups(wanted) == [
        PodGroup("third", 2, 3, 1),
        PodGroup("most", 2, 2, 1),
        PodGroup("pipeline", 6, 9, 2),
    ]


def test_gpus_follow_the_interns_in_the_same_configuration() -> None:
    made = ray_job("interns.internvl3_8b.tensor_parallel=2", "interns.internvl3_8b.replicas={min: 1, max: 3}")
    groups = {group["groupName"]: group for group in made["spec"]["rayClusterSpec"]["workerGroupSpecs"]}
    wide = groups["internvl3-8b"]
    assert (wide["minReplicas"], wide["maxReplicas"]) == (1, 3)
    (container,) = wide["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "16", "memory": "128Gi", "nvidia.com/gpu": "2"}
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert groups["qwen2-vl-7b"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_head_does_no_gpu_work_and_the_cluster_scales_and_asks_for_a_token() -> None:
    spec = ray_job()["spec"]["rayClusterSpec"]
    head = spec["headGroupSpec"]
    assert head["rayStartParams"]["num-gpus"] == "0"
    assert "nvidia.com/gpu" not in head["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["authOptions"] == {"mode": "token"}


def test_keys_are_mounted_in_the_head_only_and_by_reference() -> None:
    head, *workers = pods(ray_job())
    (volume,) = [volume for volume in head["volumes"] if "projected" in volume]
    keys, token = (source["secret"] for source in volume["projected"]["sources"])
    assert keys["name"] == token["name"] == "mics-keys"
    assert {"key": "OPENAI_API_KEY", "path": "OPENAI_API_KEY"} in keys["items"]
    assert "optional" not in keys
    assert (token["items"], token["optional"]) == ([{"key": "HF_TOKEN", "path": "HF_TOKEN"}], True)
    assert all("projected" not in volume for pod in workers for volume in pod["volumes"])
    assert all("SECRETS" not in variable["name"] for pod in workers for variable in pod["containers"][0]["env"])
    assert len(workers) == 3


def test_every_pod_writes_to_the_volume_and_none_is_root() -> None:
    for pod in pods(ray_job()):
        (data,) = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
        assert data["persistentVolumeClaim"] == {"claimName": "results"}
        assert {"name": data["name"], "mountPath": "/data"} in pod["containers"][0]["volumeMounts"]
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_the_same_job_has_the_same_name_and_another_one_has_not() -> None:
    assert ray_job()["metadata"]["name"] == ray_job()["metadata"]["name"] == ray_job()["spec"]["jobId"]
    assert ray_job()["metadata"]["name"] != ray_job("seed=1")["metadata"]["name"]


def test_group_files_of_the_user_travel_as_a_config_map(tmp_path: Path) -> None:
    (tmp_path / "conf/judge").mkdir(parents=True)
    text = "{model: deepseek-chat, base_url: 'https://api.example/v1', api_key_env: JUDGE_KEY}\n"
    (tmp_path / "conf/judge/mine.yaml").write_text(text)
    job = describe_job([*JOB, "judge=mine"], tmp_path / "conf", "/data")
    files, made = build_manifests(CONFIG, job, [("judge/mine.yaml", tmp_path / "conf/judge/mine.yaml")])
    assert problems(files) == []
    assert problems(made) == []
    (mounted,) = [volume["configMap"] for volume in pods(made)[0]["volumes"] if "configMap" in volume]
    assert mounted["name"] == files["metadata"]["name"]
    (item,) = mounted["items"]
    assert item["path"] == "judge/mine.yaml"
    assert files["data"][item["key"]] == text


SETTINGS = (
    "cluster.image_pull_secrets=[registry, mirror]",
    "cluster.service_account=mics",
    "cluster.nodes={pool: hospital}",
    "cluster.gpu_nodes={nvidia.com/gpu.product: NVIDIA-L40S}",
    "cluster.tolerations=[{key: team, value: eyes, effect: NoSchedule}, {operator: Exists, tolerationSeconds: 60}]",
    "cluster.security_context={runAsUser: null, fsGroup: null, supplementalGroups: [4000]}",
    "cluster.shared_memory=12Gi",
)


def configured(*words: str) -> KuberayConfig:
    """As from a command line."""
    made = compose_cluster(
        ("cluster=kuberay", "cluster.image=m", "cluster.volume_claim=c", "cluster.secret=s", *words), None
    )
    assert isinstance(made, KuberayConfig)
    return made


@pytest.mark.parametrize("standing", [False, True])
def test_what_a_cluster_asks_of_pods_stands_in_every_pod(standing: bool) -> None:
    (made,) = build_manifests(configured(*SETTINGS, f"cluster.standing={standing}"), described())
    assert problems(made) == []
    head, *workers = pods(made)
    assert len(workers) == 3
    for pod in (head, *workers):
        assert pod["imagePullSecrets"] == [{"name": "registry"}, {"name": "mirror"}]
        assert pod["serviceAccountName"] == "mics"
        assert pod["tolerations"][:2] == [
            {"key": "team", "value": "eyes", "effect": "NoSchedule"},
            {"operator": "Exists", "tolerationSeconds": 60},
        ]
        context = pod["securityContext"]
        assert {"runAsUser", "fsGroup"}.isdisjoint(context)
        assert (context["runAsNonRoot"], context["supplementalGroups"]) == (True, [4000])
        (shared,) = [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume]
        assert shared == {"medium": "Memory", "sizeLimit": "12Gi"}
    assert head["nodeSelector"] == {"pool": "hospital"}
    assert len(head["tolerations"]) == 2
    for pod in workers:
        assert pod["nodeSelector"] == {"pool": "hospital", "nvidia.com/gpu.product": "NVIDIA-L40S"}
        assert pod["tolerations"][2]["key"] == "nvidia.com/gpu"
        assert pod["automountServiceAccountToken"] is False


def test_an_intern_that_names_its_accelerator_has_pods_on_nodes_that_have_it() -> None:
    labels = "cluster.accelerators={H100: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}, L4: {pool: small}}"
    named = described("interns.internvl3_8b.accelerator=H100", "interns.qwen2_vl_7b.accelerator=L4")
    (made,) = build_manifests(configured(labels, "cluster.gpu_nodes={pool: gpu}"), named)
    assert problems(made) == []
    groups = {group["groupName"]: group for group in made["spec"]["rayClusterSpec"]["workerGroupSpecs"]}
    nodes = {name: group["template"]["spec"]["nodeSelector"] for name, group in groups.items()}
    assert nodes == {
        "internvl3-8b": {"pool": "gpu", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "qwen2-vl-7b": {"pool": "small"},
        "qwen25-vl-7b": {"pool": "gpu"},
    }
    assert groups["internvl3-8b"]["resources"] == {"accelerator_type:H100": "1"}
    assert "resources" not in groups["qwen25-vl-7b"]
    with pytest.raises(RefusedRun, match=r"cluster\.accelerators: qwen2-vl-7b asks for L4; say which nodes have them"):
        build_manifests(configured("cluster.accelerators={H100: {a: b}}"), named)


def test_ray_s_autoscaler_reads_the_accelerator_of_a_group() -> None:
    """In Ray's own words, from the very manifest."""
    (made,) = build_manifests(
        configured("cluster.accelerators={H100: {a: b}}"), described("interns.internvl3_8b.accelerator=H100")
    )
    (group,) = [one for one in made["spec"]["rayClusterSpec"]["workerGroupSpecs"] if one["groupName"] == "internvl3-8b"]
    read = _get_ray_resources_from_group_spec(group, is_head=False)
    assert {"CPU": 8, "GPU": 1, "accelerator_type:H100": 1}.items() <= read.items()


def test_slices_of_gpus_are_a_resource_of_their_own_name_and_still_gpus_for_ray() -> None:
    (made,) = build_manifests(configured("cluster.gpu_resource=nvidia.com/mig-1g.12gb"), described())
    assert problems(made) == []
    group = made["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/mig-1g.12gb"] == "1"
    assert {"nvidia.com/gpu", "nvidia.com/mig-1g.12gb"} == {
        one["key"] for one in group["template"]["spec"]["tolerations"]
    }
    assert _get_ray_resources_from_group_spec(group, is_head=False)["GPU"] == 1


def test_pods_say_nothing_that_no_setting_says() -> None:
    head, *workers = pods(ray_job())
    assert {"imagePullSecrets", "serviceAccountName", "nodeSelector", "tolerations"}.isdisjoint(head)
    assert all({"imagePullSecrets", "serviceAccountName", "nodeSelector"}.isdisjoint(pod) for pod in workers)


def test_every_container_may_run_where_only_restricted_pods_may() -> None:
    """The operator's own, the autoscaler, too."""
    spec = ray_job()["spec"]["rayClusterSpec"]
    contexts = [pod["containers"][0]["securityContext"] for pod in pods(ray_job())]
    for context in (spec["autoscalerOptions"]["securityContext"], *contexts):
        assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("cluster.shared_memory=12 Gi", r"cluster\.shared_memory: 12 Gi is not a size"),
        ("cluster.shared_memory=4095Mi", r"cluster\.shared_memory: 4095Mi is less than cluster\.object_store_bytes"),
        ("cluster.shared_memory=4G", r"cluster\.shared_memory: 4G is less"),
        ("cluster.tolerations=[{key: a, effekt: NoSchedule}]", r"cluster\.tolerations: no field effekt; there is: key"),
    ],
)
def test_what_kubernetes_would_misread_is_refused(word: str, said: str) -> None:
    with pytest.raises(RefusedRun, match=said):
        Kuberay(configured(word), print)


def test_a_shared_memory_as_large_as_the_object_store_is_taken() -> None:
    assert Kuberay(configured("cluster.shared_memory=4Gi"), print)


def kuberay(tmp_path: Path, said: list[str], **more: Any) -> Kuberay:
    values = {"image": "m", "volume_claim": "results", "secret": "mics-keys", "dir": str(tmp_path / "out"), **more}
    return Kuberay(KuberayConfig(**values), said.append)


def test_without_kubectl_the_manifest_is_written_and_the_command_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert kuberay(tmp_path, said).submit(described(), detach=False) == EXIT_OK
    (path,) = (tmp_path / "out").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (made,) = yaml.safe_load_all(path.read_text())
    assert problems(made) == []
    assert f"kubectl apply -f {path}" in said[-1]


def test_a_job_is_applied_followed_and_its_exit_code_comes_back(tmp_path: Path, kube: Path) -> None:
    standing(kube, "running", jobStatus="RUNNING", jobDeploymentStatus="Running")
    standing(kube, "after", jobStatus="FAILED", jobDeploymentStatus="Failed", message="entrypoint failed, exit code 73")
    assert kuberay(tmp_path, []).submit(described(), detach=False) == 73
    assert "ray job logs --follow" in (kube / "log").read_text()


def test_a_job_that_is_done_is_not_applied_again(tmp_path: Path, kube: Path) -> None:
    standing(kube, "rayjob", jobStatus="SUCCEEDED", jobDeploymentStatus="Complete")
    said: list[str] = []
    assert kuberay(tmp_path, said).submit(described(), detach=False) == EXIT_OK
    assert "done already" in said[-1]
    assert "apply" not in (kube / "log").read_text()


def test_a_standing_cluster_is_made_beside_a_job_that_is_done(tmp_path: Path, kube: Path) -> None:
    standing(kube, "rayjob", jobStatus="SUCCEEDED", jobDeploymentStatus="Complete")
    stays = kuberay(tmp_path, [], standing=True)
    assert stays.submit(described(), detach=False) == EXIT_OK
    assert "apply" in (kube / "log").read_text()
    with pytest.raises(RefusedRun, match="get raycluster"):
        stays.stop(described())


def test_without_kubectl_nobody_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (kuberay(tmp_path, []).show_status, kuberay(tmp_path, []).stop):
        with pytest.raises(RefusedRun, match="kubectl: no such program"):
            ask(described())


def test_a_job_that_ended_early_goes_on_and_one_that_runs_is_left_alone(tmp_path: Path, kube: Path) -> None:
    standing(kube, "rayjob", jobStatus="STOPPED", jobDeploymentStatus="Complete")
    assert kuberay(tmp_path, []).submit(described(), detach=True) == EXIT_OK
    assert "delete rayjob" in (kube / "log").read_text()
    (kube / "log").write_text("")
    standing(kube, "rayjob", jobStatus="RUNNING", jobDeploymentStatus="Running")
    assert kuberay(tmp_path, []).submit(described(), detach=True) == EXIT_OK
    assert "delete" not in (kube / "log").read_text()


def test_stopping_asks_ray_and_a_stopped_job_ends_75(tmp_path: Path, kube: Path) -> None:
    standing(kube, "rayjob", jobStatus="RUNNING", jobDeploymentStatus="Running")
    assert kuberay(tmp_path, []).stop(described()) == EXIT_OK
    assert f"ray job stop --address http://127.0.0.1:8265 {described().submission_id}" in (kube / "log").read_text()
    standing(kube, "running", jobStatus="RUNNING", jobDeploymentStatus="Running")
    standing(kube, "after", jobStatus="STOPPED", jobDeploymentStatus="Complete")
    assert kuberay(tmp_path, []).submit(described(), detach=False) == EXIT_STOPPED


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("operator", "KubeRay operator"),
        ("pvc", "cluster.volume_claim"),
        ("secret", "DEEPSEEK_API_KEY"),
        ("account", "cluster.service_account"),
        ("registry", "cluster.image_pull_secrets"),
    ],
)
def test_what_is_missing_in_the_cluster_is_refused_by_name(tmp_path: Path, kube: Path, gone: str, named: str) -> None:
    if gone == "secret":
        (kube / "secret").write_text("OPENAI_API_KEY GEMINI_API_KEY DASHSCOPE_API_KEY")
    elif gone in ("operator", "pvc"):
        (kube / gone).unlink()
    more = {"account": {"service_account": "mics"}, "registry": {"image_pull_secrets": ["registry"]}}.get(gone, {})
    with pytest.raises(RefusedRun, match=named):
        kuberay(tmp_path, [], **more).submit(described(), detach=True)
    assert "apply" not in (kube / "log").read_text()


def test_a_job_that_needs_keys_wants_a_secret_named(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match=r"cluster\.secret: the job needs .*OPENAI_API_KEY"):
        kuberay(tmp_path, [], secret=None).submit(described(), detach=True)


def test_the_command_line_leads_here(tmp_path: Path, kube: Path) -> None:
    cluster = ("cluster=kuberay", "cluster.image=m", "cluster.volume_claim=results", "cluster.secret=k",
               f"cluster.dir={tmp_path}/out")  # fmt: skip
    said: list[str] = []
    assert run_action(SubmitArguments("submit", True, False, cluster, JOB, None), said.append) == EXIT_OK
    assert said == ["rayjob created"]
