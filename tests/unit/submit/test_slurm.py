"""The sbatch file, and what submits it, against stand-ins of SLURM's programs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.jobs.lock import RunLock
from mics_ray.submit.config import SlurmConfig
from mics_ray.submit.job import SubmittedJob, describe_job
from mics_ray.submit.slurm.cluster import Slurm
from mics_ray.submit.slurm.sbatch import BLOCK_PORTS, BLOCKS, FIRST_PORT, render_sbatch

WORDS = ["experiment=demo", 'data.cases="/data/it\'s here.jsonl"', "run.dir=runs/x"]


@pytest.fixture(scope="module")
def job() -> SubmittedJob:
    return describe_job(WORDS, None, "/work")


def options(text: str) -> dict[str, str]:
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", text, re.M))


def test_the_header_is_the_configuration(job: SubmittedJob) -> None:
    config = SlurmConfig(dir="/s", nodes=3, gpus_per_node=8, cpus_per_node=32, partition="gpu", memory="200G")
    found = options(render_sbatch(config, job, "/work"))
    expected = {
        "job-name": job.submission_id, "nodes": "3", "gpus-per-node": "8", "cpus-per-task": "32", "partition": "gpu",
        "mem": "200G", "signal": "B:USR1@120", "dependency": "singleton", "output": f"/s/{job.submission_id}.log",
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert {"account", "qos"}.isdisjoint(found)
    assert "gpus-per-node" not in render_sbatch(SlurmConfig(dir="/s"), job, "/work")


def test_the_script_is_valid_bash_and_keeps_arguments_whole(job: SubmittedJob, tmp_path: Path) -> None:
    text = render_sbatch(SlurmConfig(dir="/s"), job, "/work")
    (tmp_path / "job").write_text(text)
    assert subprocess.run(["bash", "-n", str(tmp_path / "job")], capture_output=True, check=False).stderr == b""
    line = next(line for line in text.splitlines() if "scripts/generate.py" in line)
    given = line.split("generate.py", 1)[1].split('"ray.address', 1)[0]
    spoken = subprocess.run(["bash", "-c", f"printf '%s\\n' {given}"], capture_output=True, text=True, check=True)
    assert spoken.stdout.splitlines() == WORDS


def test_ports_of_every_job_lie_below_those_of_the_kernel(job: SubmittedJob) -> None:
    assert FIRST_PORT > 1024
    assert FIRST_PORT + BLOCKS * BLOCK_PORTS <= 32768


def test_gpus_may_be_of_a_type_in_the_words_of_slurm(job: SubmittedJob) -> None:
    for kind in ("h100", "nvidia_h100_80gb_hbm3", "h100_1g.12gb"):
        text = render_sbatch(SlurmConfig(dir="/s", gpus_per_node=2, gpu_type=kind), job, "/work")
        assert options(text)["gpus-per-node"] == f"{kind}:2"
        (step,) = [line for line in text.splitlines() if line.startswith("srun") and "gpus" in line]
        assert f"--gpus-per-node={kind}:2 " in step
        assert "--num-gpus=2 " in text
    for kind, count in (("gpu:h100", 1), ("h100:2", 1), ("", 1), ("h100", 0)):
        with pytest.raises(RefusedRun, match=r"cluster\.gpu_type: .*how many is cluster\.gpus_per_node"):
            render_sbatch(SlurmConfig(dir="/s", gpus_per_node=count, gpu_type=kind), job, "/work")


@pytest.mark.parametrize("network", ["ib0", "bond0.100", "10.1.0.0/16", "10.1.2.3/16"])
def test_a_network_is_asked_of_every_node(job: SubmittedJob, tmp_path: Path, network: str) -> None:
    text = render_sbatch(SlurmConfig(dir="/s", network=network, nodes=3), job, "/work")
    assert f"network={network}" in text.splitlines()
    assert '--node-ip-address="$own"' in text
    (tmp_path / "job").write_text(text)
    assert subprocess.run(["bash", "-n", str(tmp_path / "job")], capture_output=True, check=False).stderr == b""
    assert "node_address" not in render_sbatch(SlurmConfig(dir="/s"), job, "/work")


@pytest.mark.parametrize("network", ["10.1.0.0/33", "fd00::/8", "an-interface-too-long", "ib0/1", "ib 0"])
def test_what_is_no_network_is_refused(job: SubmittedJob, network: str) -> None:
    with pytest.raises(RefusedRun, match=r"cluster\.network"):
        render_sbatch(SlurmConfig(dir="/s", network=network), job, "/work")


def test_a_scratch_folder_that_leaves_no_room_for_sockets_is_refused(job: SubmittedJob) -> None:
    """107 bytes are all that a socket's path may have; letters of two bytes count twice."""
    fits, long = "/" + 29 * "s", "/" + 30 * "s"
    assert render_sbatch(SlurmConfig(dir="/s", scratch=fits, nodes=10), job, "/work")
    for scratch, nodes in ((long, 10), (fits, 11), ("/" + 15 * "ü", 1)):
        with pytest.raises(RefusedRun, match=r"cluster\.scratch: .* is too long: .* bytes, 43 is the most") as refused:
            render_sbatch(SlurmConfig(dir="/s", scratch=scratch, nodes=nodes), job, "/work")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", ["x\n#SBATCH --uid=0", "$(reboot)", "a b", "x;y", "'"])
def test_settings_cannot_become_shell(job: SubmittedJob, value: str) -> None:
    with pytest.raises(RefusedRun, match=r"cluster\.partition"):
        render_sbatch(SlurmConfig(dir="/s", partition=value), job, "/work")


def test_interns_that_the_nodes_cannot_hold_are_refused_with_the_sum() -> None:
    words = ["mentors=local", "judge=local", "interns=paper", "data.cases=c", "run.dir=r"]
    with pytest.raises(RefusedRun, match=r"the models need 3 GPUs.*the cluster has 2, the biggest node.*1"):
        render_sbatch(SlurmConfig(dir="/s", nodes=2, gpus_per_node=1), describe_job(words, None, "/"), "/")


class Queue:
    """SLURM's programs, as scripts that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.queue, self.calls_file = folder / "queue", folder / "calls"
        self.queue.write_text("")
        sbatch = f"env > {folder}/environment; echo 41"
        for name, does in {"squeue": f"cat {self.queue}", "sbatch": sbatch, "scancel": "true"}.items():
            (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls_file}\n{does}\n')
            (folder / name).chmod(0o755)

    def calls(self, name: str) -> list[str]:
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [line for line in lines if line.startswith(name)]

    def environment(self) -> dict[str, str]:
        """What sbatch was run with."""
        text = (self.calls_file.parent / "environment").read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    return Queue(tmp_path / "bin")


def test_a_job_in_the_queue_is_not_submitted_again(queue: Queue, job: SubmittedJob, tmp_path: Path) -> None:
    said: list[str] = []
    cluster = Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), said.append)
    assert cluster.submit(job, detach=True) == 0
    queue.queue.write_text("41 PENDING\n")
    assert cluster.submit(job, detach=True) == 0
    assert len(queue.calls("sbatch")) == 1
    assert said[-1].endswith("pending already as job 41")
    assert f"--name={job.submission_id}" in queue.calls("squeue")[-1]


def test_what_lies_in_the_folder_is_the_owner_s_alone_and_the_umask_stays(
    queue: Queue, job: SubmittedJob, tmp_path: Path
) -> None:
    before = os.umask(0o002)
    try:
        assert Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(job, detach=True) == 0
    finally:
        kept = os.umask(before)
    assert kept == 0o002
    assert (tmp_path / "jobs").stat().st_mode & 0o777 == 0o700
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in (tmp_path / "jobs").iterdir()}
    assert modes == {".lock": 0o600, ".sbatch": 0o600, ".log": 0o600}
    assert "append" in (tmp_path / f"jobs/{job.submission_id}.sbatch").read_text().split("--open-mode=")[1][:6]


@pytest.mark.parametrize(("code", "submitted"), [("0", 0), ("75", 1), ("1", 1)])
def test_only_what_did_not_end_well_is_submitted_again(
    queue: Queue, job: SubmittedJob, tmp_path: Path, code: str, submitted: int
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / f"jobs/{job.submission_id}.exit").write_text(code)
    assert Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(job, detach=True) == 0
    assert len(queue.calls("sbatch")) == submitted


def test_stop_asks_a_running_job_and_takes_a_waiting_one_away(queue: Queue, job: SubmittedJob, tmp_path: Path) -> None:
    cluster = Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None)
    queue.queue.write_text("41 RUNNING\n")
    cluster.stop(job)
    queue.queue.write_text("41 PENDING\n")
    cluster.stop(job)
    assert queue.calls("scancel") == ["scancel --batch --signal=TERM 41", "scancel 41"]
    queue.queue.write_text("")
    with pytest.raises(RefusedRun, match="not in the queue"):
        cluster.stop(job)


def test_following_ends_with_the_jobs_own_exit_code(queue: Queue, job: SubmittedJob, tmp_path: Path) -> None:
    cluster = Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None)
    assert cluster.submit(job, detach=False) == 75  # it left the queue without a word
    (tmp_path / "bin/sbatch").write_text(f"#!/bin/sh\necho 78 > {tmp_path}/jobs/{job.submission_id}.exit; echo 42\n")
    assert cluster.submit(job, detach=False) == 78


def test_a_missing_key_or_folder_is_refused_before_anything_is_submitted(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    words = ["mentors=local", "judge=deepseek", "interns=tiny", "data.cases=c", "run.dir=r"]
    keyed = describe_job(words, None, "/")
    with pytest.raises(RefusedRun, match="DEEPSEEK_API_KEY"):
        Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(keyed, detach=True)
    with pytest.raises(RefusedRun, match=r"cluster\.dir: no folder"):
        Slurm(SlurmConfig(dir=str(tmp_path / "gone/jobs")), lambda _: None).submit(keyed, detach=True)
    (tmp_path / "file").touch()
    with pytest.raises(RefusedRun, match=r"cluster\.dir: cannot make"):
        Slurm(SlurmConfig(dir=str(tmp_path / "file")), lambda _: None).submit(keyed, detach=True)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/DEEPSEEK_API_KEY").write_text("k")
    config = SlurmConfig(dir=str(tmp_path / "jobs"), secrets_dir=str(tmp_path / "keys"))
    assert Slurm(config, lambda _: None).submit(keyed, detach=True) == 0
    assert len(queue.calls("sbatch")) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("nodes", 0), ("cpus_per_node", 0), ("gpus_per_node", -1), ("signal_s", 29)]
)
def test_numbers_below_their_least_are_refused_and_the_least_is_taken(job: SubmittedJob, name: str, value: int) -> None:
    with pytest.raises(RefusedRun, match=rf"cluster\.{name}: {value} is below {value + 1}"):
        render_sbatch(SlurmConfig(dir="/s", **{name: value}), job, "/work")  # type: ignore[arg-type]
    assert render_sbatch(SlurmConfig(dir="/s", **{name: value + 1}), job, "/work")  # type: ignore[arg-type]


def test_every_setting_stands_where_the_script_reads_it(job: SubmittedJob) -> None:
    config = SlurmConfig(dir="/s", scratch="/local", python="/py", account="a", qos="q", secrets_dir="/k eys")
    text = render_sbatch(config, job, "/it's here")
    assert {"account": "a", "qos": "q", "time": "24:00:00"}.items() <= options(text).items()
    lines = text.splitlines()
    assert "cd '/it'\"'\"'s here'" in lines
    assert "python=/py" in lines
    assert f"files=/s/{job.submission_id}" in lines
    assert "scratch=/local/mr$SLURM_JOB_ID" in lines
    assert [line for line in lines if line.endswith("='/k eys'")]
    assert "--config-dir" not in text
    assert "/k eys" not in render_sbatch(SlurmConfig(dir="/s"), job, "/work")


def test_group_files_are_read_where_they_lie(tmp_path: Path) -> None:
    keyed = describe_job(WORDS, tmp_path, "/work")
    assert f"--config-dir {tmp_path} " in render_sbatch(SlurmConfig(dir="/s"), keyed, "/work")


def test_which_gpus_the_nodes_have_is_left_to_them() -> None:
    words = ["mentors=local", "judge=local", "interns=paper", "data.cases=c", "run.dir=r"]
    named = describe_job([*words, "interns.internvl3_8b.accelerator=H100"], None, "/")
    config = SlurmConfig(dir="/s", gpus_per_node=4, gpu_type="nvidia_h100_80gb_hbm3")
    assert render_sbatch(config, named, "/")


def test_interns_run_on_cpus_where_no_gpus_are_asked_for() -> None:
    words = ["mentors=local", "judge=local", "interns=paper", "data.cases=c", "run.dir=r"]
    assert "gpus-per-node" not in render_sbatch(SlurmConfig(dir="/s"), describe_job(words, None, "/"), "/")


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETING", "SUSPENDED"])
def test_a_job_with_a_node_is_asked_by_its_batch_script(
    queue: Queue, job: SubmittedJob, tmp_path: Path, state: str
) -> None:
    queue.queue.write_text(f"41 {state}\n")
    Slurm(SlurmConfig(dir=str(tmp_path)), lambda _: None).stop(job)
    assert queue.calls("scancel") == ["scancel --batch --signal=TERM 41"]


def test_status_tells_of_the_queue_then_of_the_end(queue: Queue, job: SubmittedJob, tmp_path: Path) -> None:
    said: list[str] = []
    cluster = Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), said.append)
    with pytest.raises(RefusedRun, match="neither in the queue nor ended"):
        cluster.show_status(job)
    queue.queue.write_text("41 PENDING\n")
    cluster.show_status(job)
    queue.queue.write_text("")
    (tmp_path / "jobs").mkdir()
    (tmp_path / f"jobs/{job.submission_id}.exit").write_text("73\n")
    cluster.show_status(job)
    assert "pending as job 41" in said[0]
    assert "ended, exit code 73" in said[1]


def test_the_end_of_an_earlier_time_is_forgotten_when_a_job_goes_on(
    queue: Queue, job: SubmittedJob, tmp_path: Path
) -> None:
    (tmp_path / "jobs").mkdir()
    ended = tmp_path / f"jobs/{job.submission_id}.exit"
    ended.write_text("75")
    Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(job, detach=True)
    assert not ended.exists()


def test_a_job_that_goes_on_shows_what_its_log_gains(
    queue: Queue, job: SubmittedJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs").mkdir()
    log = tmp_path / f"jobs/{job.submission_id}.log"
    log.write_text("of the first time\n")
    (tmp_path / "bin/sbatch").write_text(f"#!/bin/sh\necho of the second >> {log}; echo 42\n")
    Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(job, detach=False)
    assert capsys.readouterr().out == "of the second\n"


def test_two_submissions_at_a_time_are_one(queue: Queue, job: SubmittedJob, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    with RunLock(tmp_path / f"jobs/{job.submission_id}.lock"), pytest.raises(RefusedRun, match="just being submitted"):
        Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(job, detach=True)
    assert queue.calls("sbatch") == []


OUTER = {
    "SLURM_JOB_ID": "7", "SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_PER_TASK": "3", "SLURMD_NODENAME": "n1",
    "SLURM_EXPORT_ENV": "NONE", "PMI_RANK": "0", "PMIX_NAMESPACE": "x", "CUDA_VISIBLE_DEVICES": "MIG-a",
    "GPU_DEVICE_ORDINAL": "0",
}  # fmt: skip


def test_a_job_that_is_submitted_from_within_another_takes_nothing_of_it(
    queue: Queue, job: SubmittedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"SLURM_CONF": "/etc/s.conf", "SBATCH_ACCOUNT": "a", "OPENAI_API_KEY": "k", "CUDA_HOME": "/cuda"}
    for name, value in (OUTER | kept).items():
        monkeypatch.setenv(name, value)
    Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(job, detach=True)
    handed = queue.environment()
    assert OUTER.keys().isdisjoint(handed)
    assert kept.items() <= handed.items()
    assert os.environ["SLURM_JOB_ID"] == "7", "this process stays in its job"


def test_outside_a_job_the_environment_is_the_user_s(
    queue: Queue, job: SubmittedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
        monkeypatch.delenv(name, raising=False)
    own = {"SLURM_CPU_BIND": "none", "CUDA_VISIBLE_DEVICES": "1"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    Slurm(SlurmConfig(dir=str(tmp_path / "jobs")), lambda _: None).submit(job, detach=True)
    assert own.items() <= queue.environment().items()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "#!/bin/sh\necho 'Python 3.9, Ray 2.9.3'",
            r"has Python 3\.9, Ray 2\.9\.3, this machine Python 3.*; use the same",
        ),
        (
            "#!/bin/sh\necho 'no module named runpy' >&2; exit 1",
            "is no Python that could be asked: no module named runpy",
        ),
        ("neither", r"does not run here \(Exec format error\)"),
        (None, r"does not run here \(No such file or directory\)"),
    ],
)
def test_another_python_of_the_nodes_is_asked_for_its_versions(
    queue: Queue, job: SubmittedJob, tmp_path: Path, program: str | None, said: str
) -> None:
    python = tmp_path / "python"
    if program is not None:
        python.write_text(program)
        python.chmod(0o755)
    config = SlurmConfig(dir=str(tmp_path / "jobs"), python=str(python))
    with pytest.raises(RefusedRun, match=rf"^cluster\.python: {python} {said}"):
        Slurm(config, lambda _: None).submit(job, detach=True)
    assert queue.calls("sbatch") == []


def test_this_python_by_its_path_is_taken(queue: Queue, job: SubmittedJob, tmp_path: Path) -> None:
    config = SlurmConfig(dir=str(tmp_path / "jobs"), python=sys.executable)
    assert Slurm(config, lambda _: None).submit(job, detach=True) == 0
