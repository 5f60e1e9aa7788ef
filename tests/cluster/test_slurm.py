"""`snakemake --profile slurm` on a real SLURM: the whole workflow, and its faults.

`make test-cluster` gives each of its processes a SLURM (`tests/cluster/slurm.sh`): two
virtual nodes with fake GPUs on this machine, so that training runs on its processors.
Jobs are cancelled, cut by their time limit, preempted, lose their node; each time the
result is, bit for bit, that of a run on this machine without SLURM.
"""

import csv
import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from made import ROOT
from made.config import micro
from made.typed import SNAKEMAKE

ENVIRONMENT = {**os.environ, "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"}
# The nodes' GPUs are device files and no more: training does without, by name.
ENVIRONMENT["RANDOMMASK_FAKE_GPUS"] = "1"
STEPS = 600  # of the training that is interrupted: some seconds
EXACT = ("model.safetensors", "history.csv", "spans.csv")


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """The cluster that this process was started in."""
    if "HOME_OF_SLURM" not in os.environ:
        pytest.skip("no SLURM for tests here: make test-cluster")


def shell(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def wait_for(condition, seconds=120):
    """What `condition` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s: {condition.__name__}")


@pytest.fixture
def clone(tmp_path):
    """A fresh clone, its slurm profile adapted to this cluster as the README tells."""
    folder = tmp_path / "clone"
    shell("git", "clone", "--quiet", str(ROOT), str(folder))
    for name in ("workflow", "config", "Snakefile"):  # and what is not committed yet
        target = folder / name
        if target.is_dir():
            shutil.rmtree(target)
            shutil.copytree(ROOT / name, target, symlinks=True)
        else:
            shutil.copyfile(ROOT / name, target)
    adapt(folder, pretrain={"gpu": 1, "mem_mb": 2000, "runtime": "10m"})
    return folder


def adapt(folder, default=None, **resources):
    """Change the profile's lines for this cluster: small jobs, checked often."""
    path = folder / "slurm" / "config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["slurm-init-seconds-before-status-checks"] = 2
    profile["default-resources"] |= {"mem_mb": 1000, "runtime": "10m"}
    profile["default-resources"] |= default or {}
    for rule in ("finetune", "model"):
        profile["set-resources"][rule] = {"gpu": 1, "mem_mb": 1000, "runtime": "10m"}
    profile["set-resources"] |= resources
    rules = (*profile["set-threads"], "kmer_linear")
    profile["set-threads"] = dict.fromkeys(rules, 1)
    path.write_text(yaml.safe_dump(profile))


def write_config(folder, steps=None):
    """The micro config; with `steps` an encoder more, trained so long in one job."""
    config = micro(folder)
    config["benchmark"]["include"] = ["CPD-tata"]  # each job costs SLURM seconds
    if steps:
        config["curricula"]["long"] = [{"until": steps, "max_span": 4}]
        config["encoders"]["long"] = {
            "curriculum": "long",
            "steps": steps,
            "segments": [],
            "log_every": 50,
            "validate_every": 200,
        }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def command(path, *words):
    return [str(SNAKEMAKE), f"--configfile={path}", *map(str, words)]


def run(folder, path, *words):
    done = subprocess.run(
        command(path, *words),
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


class Workflow:
    """A Snakemake in the background that trains one encoder under SLURM."""

    def __init__(self, clone, path, steps):
        self.folder = path.parent
        self.output = self.folder / "results" / "pretrain" / "long" / f"step-{steps}"
        self.log = self.folder / "snakemake.log"
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                command(path, "--profile", "slurm", self.output),
                cwd=clone,
                env=ENVIRONMENT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def job(self, state="RUNNING"):
        """The number of the training job in a state, when there is one."""
        for line in shell("squeue", "-h", "-o", "%i|%T|%k").splitlines():
            number, found, comment = line.split("|", 2)
            if found == state and "pretrain" in comment:
                return number
        return None

    def training(self):
        """The number of the training job, stopped after some of its steps.

        So it does not end before something is done to it. SLURM lets a job go on before
        it tells it to end.
        """

        def has_begun():
            speeds = list(self.output.parent.glob(".state/*/speed.csv"))
            return speeds and self.job()

        number = wait_for(has_begun, seconds=300)
        os.kill(self.process_of_job(), signal.SIGSTOP)
        return number

    def process_of_job(self):
        """The process that trains; its lock names it."""
        [lock] = self.output.parent.glob(".state/*/lock")
        return int(re.search(r"process (\d+) on", lock.read_text())[1])

    def end(self):
        """Wait for the end; return what Snakemake said."""
        self.process.wait(timeout=600)
        said = self.log.read_text()
        assert self.process.returncode == 0, said[-5000:]
        return said


def without_slurm(folder, steps):
    """The encoder as it comes out of an uninterrupted run."""
    folder.mkdir(exist_ok=True)
    path = write_config(folder, steps)
    output = folder / "results" / "pretrain" / "long" / f"step-{steps}"
    flags = ("--set-threads", "pretrain=1", "--set-resources", "pretrain:gpu=0")
    run(ROOT, path, output, *flags)
    return output


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Trained by the first process that needs it; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "local"
    with FileLock(place.with_suffix(".lock")):
        return without_slurm(place, STEPS)


def with_corpus(folder, expected, steps=STEPS):
    """The config of that training in another folder, where its corpus lies already."""
    path = write_config(folder, steps)
    for name in ("world", "corpus"):
        source = expected.parents[2] / name
        shutil.copytree(source, folder / "results" / name, copy_function=shutil.copy2)
    return path


@pytest.fixture
def workflow(clone, tmp_path, expected):
    """The same training under SLURM."""
    started = []

    def start(steps=STEPS):
        path = tmp_path / "config.yaml"
        if not path.exists():
            with_corpus(tmp_path, expected, steps)
        started.append(Workflow(clone, path, steps))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
    subprocess.run(["scancel", "--user", "root"], check=False)


def assert_same(found, expected):
    for name in EXACT:
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name


def resumed(folder):
    logs = list((folder / "logs" / "pretrain").rglob("*.log"))
    return any("going on from" in log.read_text() for log in logs)


def test_the_whole_workflow_gives_what_one_machine_gives(clone, tmp_path):
    local, remote = tmp_path / "local", tmp_path / "remote"
    for folder in (local, remote):
        folder.mkdir()
    rules = ("pretrain", "finetune", "model")
    flags = ["--set-threads", *(f"{rule}=1" for rule in rules)]
    flags += ["--set-resources", *(f"{rule}:gpu=0" for rule in rules)]
    run(clone, write_config(local), *flags, "--", local / "results" / "report.html")
    path = write_config(remote)
    said = run(
        clone, path, "--profile", "slurm", "--", remote / "results" / "report.html"
    )
    submitted = set(re.findall(r"^rule (\w+):", said, re.M))
    assert {"tokenize", "pretrain", "prepare", "finetune"} <= submitted
    for name in ("table2.csv", "table3.csv", "table3.tex", "observations.csv"):
        tables = [folder / "results" / "tables" / name for folder in (local, remote)]
        assert tables[0].read_bytes() == tables[1].read_bytes(), name
    for kept in (local / "results" / "pretrain").glob("*/step-24/model.safetensors"):
        other = remote / kept.relative_to(local)
        assert other.read_bytes() == kept.read_bytes()


def failing(folder, path, *words, **environment):
    """What Snakemake says of a run that fails."""
    done = subprocess.run(
        command(path, "--profile", "slurm", *words),
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode, said[-3000:]
    return said


def first_segment(path):
    """The first segment of the config's encoders."""
    config = yaml.safe_load(path.read_text())
    steps = config["encoders"]["dnabert"].get("segments") or [
        config["pretrain"]["steps"]
    ]
    return path.parent / "results" / "pretrain" / "dnabert" / f"step-{steps[0]}"


def test_what_no_node_can_run_is_refused_at_the_start(clone, tmp_path):
    path = write_config(tmp_path)
    adapt(clone, pretrain={"gpu": 8, "mem_mb": 2000, "runtime": "10m"})
    before = shell("squeue", "-h", "--states=all", "-o", "%i")
    said = failing(clone, path, first_segment(path))
    words = "pretrain: asks 8 GPUs a node, nodes of partition main have 2"
    assert words in said
    after = shell("squeue", "-h", "--states=all", "-o", "%i")
    assert set(after.split()) <= set(before.split())  # old ones may be forgotten


def test_two_gpus_of_one_node_and_two_nodes(clone, tmp_path, expected):
    """One node x two processes, and two nodes x one: the batches of one process."""
    several = {"nodes": 2, "tasks": 2, "mpi": "srun", "tasks_per_gpu": 0}
    losses = []
    for name, resources in {
        "one": {"gpu": 1},
        "two": {"gpu": 2},
        "nodes": {"gpu": 0, "gres": "gpu:1", **several},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        path = with_corpus(folder, expected, 24)
        path.write_text(path.read_text().replace("micro_batch: 8", "micro_batch: 4"))
        adapt(clone, pretrain={**resources, "mem_mb": 2000, "runtime": "10m"})
        output = folder / "results" / "pretrain" / "long" / "step-24"
        run(clone, path, "--profile", "slurm", "--", output)
        with open(output / "history.csv", newline="") as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert losses[2] == losses[1]


def test_a_cancelled_job_goes_on(workflow, expected, tmp_path):
    one = workflow()
    shell("scancel", one.training())
    said = one.end()
    assert "Trying to restart" in said or "restart" in said.lower()
    assert_same(one.output, expected)
    assert resumed(tmp_path)


def test_a_job_cut_by_its_time_limit_goes_on(workflow, clone, expected, tmp_path):
    adapt(clone, pretrain={"gpu": 1, "mem_mb": 2000, "runtime": "attempt * attempt"})
    one = workflow()  # a minute, SLURM's shortest limit; then four
    one.training()
    submitted = re.findall(r"SLURM jobid (\d+)", one.end())
    assert len(submitted) >= 2
    assert resumed(tmp_path)
    assert_same(one.output, expected)


def start_requeued(one, number):
    """SLURM lets a job that is queued again wait two minutes: not here."""
    wait_for(lambda: one.job("PENDING"))
    shell("scontrol", "update", f"JobId={number}", "StartTime=now")


def test_a_preempted_job_goes_on(workflow, clone, expected, tmp_path):
    place = {"slurm_partition": "spot"}
    adapt(clone, place, pretrain={"gpu": 1, "mem_mb": 2000, "runtime": "10m"})
    one = workflow()
    number = one.training()
    for node in ("n1", "n2"):
        words = ("-p", "main", "-w", node, "--exclusive", "-o", "/dev/null")
        shell("sbatch", *words, "--wrap", "sleep 1")
    start_requeued(one, number)
    one.end()
    assert_same(one.output, expected)
    assert resumed(tmp_path)


def test_a_job_whose_node_dies_goes_on(workflow, expected):
    one = workflow()
    number = one.training()
    node = shell("squeue", "-h", "-j", number, "-o", "%N").strip()
    slurmd = Path(os.environ["HOME_OF_SLURM"])
    os.kill(int((slurmd / f"slurmd.{node}.pid").read_text()), signal.SIGKILL)
    shell("pkill", "-9", "-f", f"slurmstepd: .{number}")
    os.kill(one.process_of_job(), signal.SIGKILL)
    try:
        start_requeued(one, number)
        one.end()
    finally:
        shell("slurmd", "-N", node)
    assert_same(one.output, expected)


def test_snakemake_killed_and_started_again_has_one_writer(workflow, expected, clone):
    one = workflow()
    number = one.training()
    one.process.kill()
    one.process.wait()
    run(clone, one.folder / "config.yaml", "--unlock")
    two = workflow()
    [lock] = one.output.parent.glob(".state/*/lock")

    def refused():
        logs = (one.folder / "logs" / "pretrain").rglob("*.log")
        return any("being written by" in log.read_text() for log in logs)

    wait_for(refused)
    assert f"SLURM job {number}" in lock.read_text()
    shell("scancel", number)
    two.end()
    assert_same(two.output, expected)


def test_a_job_that_fails_twice_is_tried_a_third_time(workflow, expected):
    one = workflow()
    number = one.training()
    [state] = one.output.parent.glob(".state/*")
    shell(
        "scancel", number
    )  # and its lock is taken, so that the next try fails as well
    with open(state / "lock", "a+") as file:

        def is_taken():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_for(is_taken)
        wait_for(lambda: one.log.read_text().count("Error in rule pretrain") >= 2)
    one.end()
    assert_same(one.output, expected)


def test_a_full_disk_stops_with_one_line_and_the_same_command_goes_on(
    clone, expected, tmp_path
):
    small = tmp_path / "small"
    small.mkdir()
    path = with_corpus(small, expected)
    full = small / "results" / "pretrain"
    full.mkdir()
    shell("mount", "-t", "tmpfs", "-o", "size=1M", "scratch", str(full))
    output = full / "long" / f"step-{STEPS}"
    try:
        done = subprocess.run(
            command(path, "--profile", "slurm", "--retries", "0", output),
            cwd=clone,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        [log] = (small / "logs" / "pretrain").rglob("*.log")
        said = log.read_text()
        last = said.splitlines()[-1].lower()
        assert "no space left" in last and "Traceback" not in said
        assert not output.exists()
        shell("mount", "-o", "remount,size=100M", str(full))
        run(clone, path, "--profile", "slurm", output)
        assert_same(output, expected)
    finally:
        shell("umount", "--lazy", str(full))


def test_what_a_lab_asks_for_reaches_slurm(clone, tmp_path, monkeypatch):
    """Type of GPU, partition, account, constraint, mail; names that tell jobs apart.

    A SLURM without accounting takes any quality of service and forgets it, so that this
    is looked for in what sbatch was told.
    """
    path = write_config(tmp_path)
    asked = {"gpu": 1, "gpu_model": "fake", "mem_mb": 2000, "runtime": "10m"}
    default = {"slurm_partition": "main", "constraint": "fast"}
    default |= {"slurm_account": "lab", "qos": "long"}
    default["slurm_extra"] = "--mail-type=FAIL --mail-user=root@localhost"
    adapt(clone, default=default, pretrain=asked)
    target = first_segment(path)
    told = tmp_path / "told"
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        f'#!/bin/sh\necho "$@" >>{told}\nexec {shutil.which("sbatch")} "$@"\n'
    )
    sbatch.chmod(0o755)
    path_of_all = f"{sbatch.parent}:{ENVIRONMENT['PATH']}"
    monkeypatch.setitem(ENVIRONMENT, "PATH", path_of_all)
    run(clone, path, "--profile", "slurm", target)
    assert re.search(r"--qos[= ]'?long", told.read_text())
    jobs = [x for x in shell("scontrol", "show", "job", "-o").splitlines() if x]
    name = f"Comment=rule_pretrain_wildcards_dnabert_{target.name} "
    job = [x for x in jobs if name in x][-1]
    for words in (
        "Partition=main",
        "Account=lab",
        "Features=fast",
        "gpu:fake:1",
        "JobName=randommask_",
        "MailUser=root@localhost MailType=FAIL",
    ):
        assert words in job, (words, job)
    assert (target / "model.safetensors").exists()


def test_a_job_that_sees_no_gpu_stops_and_is_not_tried_again(clone, tmp_path):
    path = write_config(tmp_path)
    target = first_segment(path)
    said = failing(clone, path, target, RANDOMMASK_FAKE_GPUS="")
    assert "this job was given 1 GPUs and sees none" in said
    assert "Trying to restart" not in said
    assert re.search(r"failed:\npretrain segment=dnabert/step-\d+: this job was", said)
    assert not target.exists()


def test_an_input_error_is_tried_once(clone, tmp_path):
    path = write_config(tmp_path)
    target = first_segment(path)
    run(clone, path, tmp_path / "results/corpus/synthetic/manifest.json")
    [shard, *_] = sorted((tmp_path / "results/corpus/synthetic").glob("*.npy"))
    spoilt = bytearray(shard.read_bytes())
    spoilt[-1] ^= 1
    stat = shard.stat()
    shard.write_bytes(spoilt)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    said = failing(clone, path, target)
    assert "Trying to restart" not in said
    assert re.search(rf"pretrain segment=dnabert/step-\d+: .*{shard.name}", said)
