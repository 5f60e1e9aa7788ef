"""Killed anywhere, cut anywhere, on any number of processes: the same encoder."""

import csv
import errno
import glob
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from made import ROOT
from made.genome import MODERN, random_corpus, segment
from safetensors.torch import load_file

from randommask import files, masking
from randommask.data import pmi
from randommask.encoders import folder
from randommask.encoders.folder import ENCODER_FILES, copy_encoder
from randommask.errors import InputError
from randommask.experiment.hparams import Ranking
from randommask.pretraining import __main__ as pretrain
from randommask.pretraining.monitor import Monitor
from randommask.pretraining.segment import Segment
from randommask.training import optimizer, state
from randommask.training.state import StateFolder

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT / "workflow"),
    "OMP_NUM_THREADS": "1",
}
EXACT = (
    "model.safetensors",
    "state.safetensors",
    "history.csv",
    "spans.csv",
    "config.json",
)


TERM = signal.SIGTERM


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(one_thread, corpus, tmp_path_factory):
    """The segment of 12 steps, never interrupted."""
    output = tmp_path_factory.mktemp("whole") / "made" / "step-12"
    pretrain.pretrain([corpus], None, segment(), output)
    return output


def pretrain_on_one_thread(*arguments, **options):
    torch.set_num_threads(1)
    pretrain.pretrain(*arguments, **options)


def command(corpus, hparams, output, *flags):
    return [
        *(sys.executable, "-m", "randommask.pretraining", "--corpus", corpus),
        *("--hparams", hparams.flag(), "--output", str(output), *flags),
    ]


def rows(folder):
    with open(folder / "history.csv", newline="") as file:
        return [
            {key: float(value) for key, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def assert_same(found, expected):
    for name in EXACT:
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name
    for kept in (expected / "milestones").glob("*/*"):
        other = found / kept.relative_to(expected)
        assert other.read_bytes() == kept.read_bytes(), kept


def test_history_says_what_happened(whole):
    lines = rows(whole)
    assert [line["step"] for line in lines] == [3, 4, 6, 8, 9, 12]
    assert [line["phase"] for line in lines] == [1, 1, 1, 2, 2, 2]
    assert [line["max_span"] for line in lines] == [4, 4, 4, 8, 8, 8]
    # at the milestones 3 and 9 too
    validated = [line["step"] for line in lines if "validation_loss" in line]
    assert validated == [3, 6, 8, 9, 12]
    assert all(4 < line["loss"] < 7 for line in lines)
    assert lines[1]["learning_rate"] == 0.003
    assert sorted(path.name for path in (whole / "milestones").iterdir()) == [
        "step-0",
        "step-3",
        "step-9",
    ]


def raises(error):
    def function(*_, **__):
        raise error

    return function


def checkpoints(output):
    # not Path.glob, which fails where a folder goes while it looks
    found = glob.glob(f"{output.parent}/.state/*/rolling-*")
    return {os.path.basename(path) for path in found}


@pytest.mark.sweep
def test_killed_at_twenty_moments_it_ends_with_the_same_bits(
    corpus, tmp_path, monkeypatch
):
    """Children of a process that has only imported torch: a start costs no seconds."""
    phases = [{"until": end, "max_span": span} for end, span in ((20, 4), (70, 8))]
    hparams = segment(end=70, steps=80, curriculum=phases)
    whole = tmp_path / "whole" / "made" / "step-70"
    pretrain.pretrain([corpus], None, hparams, whole)
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])  # for its preload
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["randommask.pretraining"])
    output, moments, kills = tmp_path / "made" / "step-70", random.Random(0), 0
    while not output.exists():
        child = context.Process(
            target=pretrain_on_one_thread,
            args=([corpus], None, hparams, output),
            # a checkpoint a step until so many were killed
            kwargs={"save_steps": 1 if kills < 20 else 1000},
        )
        before = checkpoints(output)
        child.start()
        # it gets a step or two further each time, then dies at any point of the next:
        # in mid-accumulation, in the thread that writes, at the end of a phase
        while child.is_alive() and not checkpoints(output) - before:
            time.sleep(0.001)
        if kills < 20:
            time.sleep(moments.uniform(0, 0.02))
            kills += child.is_alive()
            child.kill()
        child.join()
    assert kills == 20
    assert_same(output, whole)


def interrupt(line, output, is_time, number):
    """Start `line`, send it a signal when `is_time`; again where it was done before."""
    for _ in range(10):
        process = subprocess.Popen(line, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        while process.poll() is None and not is_time():
            time.sleep(0.001)
        process.send_signal(number)
        process.wait()
        if not output.exists():
            return process.returncode
        files.remove(output)
    raise AssertionError("the process was never interrupted")


SELDOM = [
    pytest.param(number, marks=pytest.mark.sweep)
    for number in (signal.SIGINT, signal.SIGHUP)
]


@pytest.mark.parametrize("number", [signal.SIGTERM, *SELDOM])
def test_a_signal_saves_and_the_same_command_goes_on(corpus, whole, tmp_path, number):
    output, state = tmp_path / "made" / "step-12", tmp_path / "made" / ".state"
    line = command(corpus, segment(), output)
    started = interrupt(
        line, output, lambda: list(state.glob("*/milestones/step-0")), number
    )
    assert started == 128 + number
    assert checkpoints(output)
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True)
    assert "going on from" in done.stderr
    told = r"^step \d+ of \d+, \d+:\d\d:\d\d left: loss "
    assert re.search(told, done.stderr, re.MULTILINE)
    assert_same(output, whole)


def test_a_segment_cut_in_two_gives_the_same_weights(corpus, whole, tmp_path):
    first, second = tmp_path / "step-6", tmp_path / "made" / "step-12"
    hparams = segment(end=6, curriculum=[{"until": 6, "max_span": 4}])
    pretrain.pretrain([corpus], None, hparams, first)
    pretrain.pretrain([corpus], first, segment(start=6), second)
    for name in ("model.safetensors", "history.csv"):
        assert (second / name).read_bytes() == (whole / name).read_bytes()


CM_GEMS = [
    {"until": 6, "max_span": 4, "masking": "genemask"},
    {"until": 12, "max_span": 4, "masking": "top-pmi"},
]


@pytest.mark.sweep
def test_muon_and_masks_by_rank_go_on_to_the_bit(corpus, tmp_path):
    ranks, rival = tmp_path / "ranks.csv", {"optimizer": "muon"}
    pmi.rank([corpus], Ranking(k=4), ranks)
    hparams = segment(curriculum=CM_GEMS, **rival)
    whole, first, second, killed = (
        tmp_path / name / "made" / "step-12" for name in ("whole", "1", "2", "killed")
    )
    pretrain.pretrain([corpus], None, hparams, whole, ranks=ranks)
    begun = segment(end=6, curriculum=CM_GEMS[:1], **rival)
    pretrain.pretrain([corpus], None, begun, first, ranks=ranks)
    rest = segment(start=6, curriculum=CM_GEMS, **rival)
    pretrain.pretrain([corpus], first, rest, second, ranks=ranks)
    for name in ("model.safetensors", "history.csv"):
        assert (second / name).read_bytes() == (whole / name).read_bytes()
    flags = ("--ranks", str(ranks), "--save-steps", "1")
    line = command(corpus, hparams, killed, *flags)
    interrupt(line, killed, lambda: checkpoints(killed), signal.SIGKILL)
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True)
    assert "going on from" in done.stderr
    assert_same(killed, whole)
    shares = {row["masked_share"] for row in rows(whole)}
    exact = masking.masked_share(hparams.settings)
    assert max(abs(share - exact) for share in shares) < 0.02


@pytest.mark.parametrize(
    "stepped", ["adamw", pytest.param("muon", marks=pytest.mark.sweep)]
)
def test_a_modern_encoder_goes_on_to_the_bit(corpus, tmp_path, stepped):
    told = {"architecture": MODERN, "optimizer": stepped, "precision": "bf16"}
    whole, first, second, killed = (
        tmp_path / name / "made" / "step-12" for name in ("whole", "1", "2", "killed")
    )
    hparams = segment(**told)
    pretrain.pretrain([corpus], None, hparams, whole)
    begun = segment(end=6, curriculum=[{"until": 6, "max_span": 4}], **told)
    pretrain.pretrain([corpus], None, begun, first)
    pretrain.pretrain([corpus], first, segment(start=6, **told), second)
    for name in ("model.safetensors", "history.csv"):
        assert (second / name).read_bytes() == (whole / name).read_bytes()
    line = command(corpus, hparams, killed, "--save-steps", "1")
    interrupt(line, killed, lambda: checkpoints(killed), signal.SIGKILL)
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True)
    assert "going on from" in done.stderr
    assert_same(killed, whole)
    assert rows(whole)[-1]["loss"] < rows(whole)[0]["loss"]
    saved = files.read_json(whole / "config.json")
    assert saved["model_type"] == "modernbert" and saved["local_attention"] == 4


def test_masks_by_rank_need_ranks_and_others_are_another_training(corpus, tmp_path):
    hparams, output = segment(curriculum=CM_GEMS), tmp_path / "made" / "step-12"
    with pytest.raises(InputError, match=r"masking genemask: no --ranks"):
        pretrain.pretrain([corpus], None, hparams, output)
    found = []
    for both in (False, True):
        ranks = tmp_path / f"{both}.csv"
        pmi.rank([corpus], Ranking(k=4, reverse_complement=both), ranks)
        found.append(pretrain.identity_of([corpus], None, hparams, ranks=ranks))
    assert found[0] != found[1]


def test_settings_from_before_there_was_a_choice_say_what_they_said():
    """Nothing is trained again because a key was added."""
    told = segment().values()["settings"]
    assert "optimizer" not in told and set(told["curriculum"][0]) == {
        "until",
        "max_span",
    }
    other = segment(optimizer="muon", curriculum=CM_GEMS).values()["settings"]
    assert other["optimizer"] == "muon" and other["curriculum"] == CM_GEMS


def torchrun(line):
    """The same command on two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc-per-node", "2", *line[1:]]


def assert_close(found, expected):
    for left, right in zip(rows(found), rows(expected), strict=True):
        assert left["masked_share"] == right["masked_share"]
        assert left["loss"] == pytest.approx(right["loss"], abs=1e-5)


@pytest.mark.sweep
def test_two_processes_see_the_same_batches_from_the_start_or_from_the_middle(
    corpus, tmp_path
):
    no_dropout = segment().settings.architecture.values() | {"dropout": 0.0}
    hparams = segment(architecture=no_dropout)
    one, two, changed = (tmp_path / n / "step-12" for n in ("one", "two", "changed"))
    pretrain.pretrain([corpus], None, hparams, one)
    run = {"env": ENVIRONMENT, "check": True, "capture_output": True}
    subprocess.run(torchrun(command(corpus, hparams, two, "--processes", "2")), **run)
    assert_close(two, one)

    line = command(corpus, hparams, changed, "--save-steps", "1")
    stopped = interrupt(line, changed, lambda: checkpoints(changed), TERM)
    assert stopped == 128 + TERM
    # on two it goes on, is stopped again, and ends on one
    before = checkpoints(changed)
    line += ["--processes", "2"]
    interrupt(torchrun(line), changed, lambda: checkpoints(changed) - before, TERM)
    assert checkpoints(changed) - before
    subprocess.run(line[:-2], **run)
    assert_close(changed, one)


def test_another_number_of_processes_than_asked_is_refused(monkeypatch):
    pretrain.check_processes(1)
    with pytest.raises(InputError, match="1 processes were started, expected 8"):
        pretrain.check_processes(8)
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    pretrain.check_processes(8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="4 processes on this node see 2 GPUs"):
        pretrain.check_processes(8)


def test_changed_settings_start_afresh_and_say_why_and_where_the_old_state_is(
    corpus, tmp_path, capsys
):
    output = tmp_path / "made" / "step-12"
    with StateFolder(output, segment().values(), 0) as old:
        old.open()
        (old.folder / "rolling-4.safetensors").write_bytes(b"mine")
    with StateFolder(output, segment(learning_rate=0.1).values(), 0) as new:
        new.open()
    aside = old.folder.parent / "aside" / old.folder.name
    said = capsys.readouterr().err
    assert "settings.learning_rate: 0.003 -> 0.1" in said and str(aside) in said
    assert sorted(os.listdir(aside)) == ["rolling-4.safetensors", "settings.json"]
    assert new.folder.exists() and not old.folder.exists()
    with StateFolder(output, segment().values(), 0) as again:
        again.open()
        assert (again.folder / "rolling-4.safetensors").read_bytes() == b"mine"
    assert (aside.parent / new.folder.name).exists()


@pytest.mark.parametrize(
    "watched",
    [
        {"log_every": 5},
        {"validate_every": 4},
        {"validation_spans": (4,)},
        {"span_masking": None},
        {"milestones": (0, 9)},
        {"milestones": (0, 3, 9, 11)},
    ],
)
def test_what_only_watches_discards_no_state(
    corpus, whole, tmp_path, monkeypatch, capsys, watched
):
    output = tmp_path / "made" / "step-12"
    die_after(monkeypatch, corpus, output, 10)
    pretrain.pretrain([corpus], None, segment().model_copy(update=watched), output)
    said = capsys.readouterr().err
    assert "after 10 steps" in said and "afresh" not in said
    weights = [
        (folder / "model.safetensors").read_bytes() for folder in (whole, output)
    ]
    assert weights[0] == weights[1]
    milestones = sorted(path.name for path in (output / "milestones").iterdir())
    assert milestones == sorted(
        f"step-{step}" for step in watched.get("milestones", (0, 3, 9))
    )


def die_after(monkeypatch, corpus, output, step, **options):
    """Train with a checkpoint a step, and die when the one of that step is whole."""

    def die(folder):
        if (folder / f"rolling-{step}.safetensors").exists():
            raise KeyboardInterrupt
        state.thin_out.before(folder)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die.before = state.thin_out
        patch.setattr(state, "thin_out", die)
        pretrain.pretrain([corpus], None, segment(), output, save_steps=1, **options)
    assert f"rolling-{step}.safetensors" in checkpoints(output)


def test_a_milestone_that_was_passed_is_an_error(corpus, tmp_path, monkeypatch):
    output = tmp_path / "made" / "step-12"
    die_after(monkeypatch, corpus, output, 10)
    asked = segment().model_copy(update={"milestones": (0, 3, 7, 9)})
    with pytest.raises(InputError, match="milestones: step 7 was not kept, and 10"):
        pretrain.pretrain([corpus], None, asked, output)
    [gone] = output.parent.glob(".state/*/milestones/step-3")
    files.remove(gone)
    with pytest.raises(InputError, match="milestones: step 3 was not kept"):
        pretrain.pretrain([corpus], None, segment(), output)
    assert not output.exists()


def test_precision_and_device_are_in_the_identity(corpus, monkeypatch):
    mine = pretrain.identity_of([corpus], None, segment())
    auto = pretrain.identity_of([corpus], None, segment(precision="auto"))
    assert auto["precision"] in ("fp32", "bf16") and auto["device"] == "cpu"
    assert mine["precision"] == "fp32"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pretrain.identity_of([corpus], None, segment()) != mine


def test_another_corpus_is_not_gone_on_with(corpus, whole, tmp_path_factory):
    other = random_corpus(tmp_path_factory.mktemp("other"), 9_000)
    mixed = pretrain.identity_of([corpus], None, segment())
    assert mixed != pretrain.identity_of([other], None, segment())
    assert mixed != pretrain.identity_of([corpus], whole, segment())


@pytest.mark.sweep
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(corpus, whole, tmp_path):
    output = tmp_path / "made" / "step-12"
    line = command(corpus, segment(), output, "--save-steps", "1")
    interrupt(line, output, lambda: len(checkpoints(output)) > 1, signal.SIGKILL)
    [kept] = (tmp_path / "made" / ".state").glob("step-12-*")
    last = state.checkpoints(kept)[0]
    last.write_bytes(last.read_bytes()[:1000])
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True)
    assert "warning: skipped" in done.stderr and str(last) in done.stderr
    assert_same(output, whole)


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_a_flipped_bit_is_passed_over_for_the_checkpoint_before(
    corpus, whole, tmp_path, monkeypatch, capsys, where
):
    output = tmp_path / "made" / "step-12"
    die_after(monkeypatch, corpus, output, 10)
    [last] = output.parent.glob(".state/*/rolling-10.safetensors")
    flip(last, where)
    pretrain.pretrain([corpus], None, segment(), output)
    said = capsys.readouterr().err
    assert f"warning: skipped: {last}" in said and "after 9 steps" in said
    assert_same(output, whole)


def flip(path, where):
    damaged = bytearray(path.read_bytes())
    damaged[int(len(damaged) * where)] ^= 0x40
    path.write_bytes(damaged)


@pytest.mark.parametrize("where", [0.001, 0.3, 0.9])
def test_a_flipped_bit_in_the_state_to_start_from_stops(corpus, tmp_path, where):
    first, second = (tmp_path / "made" / f"step-{step}" for step in (6, 12))
    hparams = segment(end=6, curriculum=[{"until": 6, "max_span": 4}])
    pretrain.pretrain([corpus], None, hparams, first)
    flip(first / state.STATE_FILE, where)
    with pytest.raises(InputError, match=r"step-6/state\.safetensors: ") as caught:
        pretrain.pretrain([corpus], first, segment(start=6), second)
    assert "\n" not in str(caught.value) and not second.exists()


def test_a_damaged_finished_copy_is_made_again(corpus, whole, tmp_path, capsys):
    output = tmp_path / "made" / "step-12"
    pretrain.pretrain([corpus], None, segment(), output)
    files.remove(output)
    flip(kept_of(output) / state.STATE_FILE, 0.9)
    pretrain.pretrain([corpus], None, segment(), output)
    assert "warning: skipped" in capsys.readouterr().err
    assert_same(output, whole)


def test_a_damaged_shard_is_not_trained_on(tmp_path):
    corpus = random_corpus(tmp_path / "corpus", 2000)
    flip(tmp_path / "corpus" / "chr2.npy", 0.5)
    with pytest.raises(InputError, match=r"chr2\.npy: damaged"):
        pretrain.pretrain([corpus], None, segment(), tmp_path / "made" / "step-12")


def test_a_log_on_a_full_disk_ends_nothing(corpus, whole, tmp_path):
    output = tmp_path / "made" / "step-12"
    with open(os.devnull) as unwritable:
        done = subprocess.run(
            command(corpus, segment(), output),
            env=ENVIRONMENT,
            stdout=unwritable,
            stderr=unwritable,
        )
    assert done.returncode == 0
    assert_same(output, whole)


def test_speeds_that_cannot_be_written_end_nothing(
    corpus, whole, tmp_path, monkeypatch, capsys
):
    def full(self, line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    monkeypatch.setattr(Monitor, "_write", full)
    output = tmp_path / "made" / "step-12"
    pretrain.pretrain([corpus], None, segment(), output)
    assert "warning: " in capsys.readouterr().err
    assert not (output / "speed.csv").exists()
    assert_same(output, whole)


def test_a_second_writer_is_refused(corpus, tmp_path):
    output = tmp_path / "made" / "step-12"
    with StateFolder(output, segment().values(), 0) as kept:
        kept.open()
        done = subprocess.run(
            command(corpus, segment(), output),
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert f"process {os.getpid()} on" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not output.exists()


def test_a_finished_segment_is_not_trained_again_in_its_place(corpus, whole):
    with pytest.raises(InputError, match=r"holds README\.md, expected an empty"):
        pretrain.pretrain([corpus], None, segment(), whole)
    assert sorted(os.listdir(whole.parent)) == [".state", "step-12"]


def kept_of(output):
    """What lies in the folder beside an output: one finished copy, and no more."""
    [folder] = output.parent.glob(".state/*")
    [finished] = folder.glob("finished-*")
    assert sorted(os.listdir(folder)) == [finished.name, "settings.json"]
    return finished


def test_what_is_finished_is_kept_under_a_second_name(corpus, whole, tmp_path):
    """And given its name again where Snakemake, which was killed, deleted it."""
    output = tmp_path / "made" / "step-12"
    pretrain.pretrain([corpus], None, segment(), output)
    weights = kept_of(output) / "model.safetensors"
    assert weights.samefile(output / "model.safetensors")
    files.remove(output)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain.Trainer, "step", raises(AssertionError))
        pretrain.pretrain([corpus], None, segment(), output)
    assert weights.samefile(output / "model.safetensors")
    assert_same(output, whole)


def test_what_another_code_finished_is_no_answer(corpus, tmp_path, monkeypatch, capsys):
    """As where a job is forced after an edit."""
    output = tmp_path / "made" / "step-12"
    pretrain.pretrain([corpus], None, segment(), output)
    files.remove(output)
    monkeypatch.setattr(state, "_code", lambda: {"code": "another"})
    pretrain.pretrain([corpus], None, segment(), output)
    assert "going on from" not in capsys.readouterr().err


def test_the_next_job_lets_go_of_what_is_finished(corpus, tmp_path):
    first, second = (tmp_path / "made" / f"step-{step}" for step in (6, 12))
    hparams = segment(end=6, curriculum=[{"until": 6, "max_span": 4}])
    pretrain.pretrain([corpus], None, hparams, first)
    kept_of(first)
    pretrain.pretrain([corpus], first, segment(start=6), second)
    assert kept_of(second).parent.name.startswith("step-12-")
    folder.main(
        ["--source", str(second / "milestones/step-9"), "--output", str(tmp_path / "e")]
    )
    assert sorted(os.listdir(second.parent)) == ["step-12", "step-6"]


def test_nothing_is_open_in_the_state_when_it_is_deleted(
    corpus, whole, nfs, monkeypatch
):
    """Not what a run itself holds there, nor what one has open that went on."""
    output = nfs / "made" / "step-12"
    die_after(monkeypatch, corpus, output, 5)
    pretrain.pretrain([corpus], None, segment(), output)
    assert_same(output, whole)
    folder.let_go(output)
    assert os.listdir(output.parent) == ["step-12"]


def test_a_start_from_another_step_is_refused(corpus, whole, tmp_path):
    with pytest.raises(InputError, match="state after 12 steps, expected 6"):
        pretrain.pretrain([corpus], whole, segment(start=6), tmp_path / "x")


def test_a_loss_that_is_no_number_stops_the_run(corpus, tmp_path):
    hparams = segment(learning_rate=1e30, clip=1e30, warmup_steps=0)
    with pytest.raises(
        InputError, match=r"step \d+, samples \d+ to \d+: the loss is (nan|inf)"
    ):
        pretrain.pretrain([corpus], None, hparams, tmp_path / "made" / "step-12")
    assert not (tmp_path / "made" / "step-12").exists()


def test_learning_rate_depends_on_step_and_total_alone():
    rates = [optimizer.learning_rate(1.0, 10, 110, step) for step in range(110)]
    assert rates[0] == 0.1 and rates[9] == 1.0 and rates[60] == 0.5
    assert rates[-1] == 0.01


def test_weights_get_a_second_name_without_a_second_copy(whole, tmp_path):
    copy_encoder(whole, tmp_path / "encoder")
    names = sorted(path.name for path in (tmp_path / "encoder").iterdir())
    assert names == sorted(ENCODER_FILES)
    weights = tmp_path / "encoder" / "model.safetensors"
    assert weights.samefile(whole / "model.safetensors")
    (tmp_path / "encoder" / "tokenizer.json").unlink()  # as earlier versions saved it
    copy_encoder(tmp_path / "encoder", tmp_path / "earlier")
    assert not (tmp_path / "earlier" / "tokenizer.json").exists()
    with pytest.raises(InputError, match=r"no README\.md"):
        copy_encoder(tmp_path, tmp_path / "other")


def test_state_holds_what_adam_needs(whole):
    weights, moments, progress = state.read(whole / state.STATE_FILE)
    assert progress["step"] == 12 and len(progress["rows"]) == 6
    assert {name.rpartition(".")[0] for name in moments} == set(weights)
    saved = load_file(whole / "model.safetensors")
    assert torch.equal(
        saved["bert.embeddings.word_embeddings.weight"], weights["word.weight"]
    )


def test_a_checkpoint_holds_what_was_when_it_was_begun(corpus, tmp_path, monkeypatch):
    """A slow disk: training goes on while the state is written."""
    slowly = files.write_aside

    def write_aside(path):
        time.sleep(0.05)
        return slowly(path)

    trainer = pretrain.Trainer(segment().settings, [corpus])
    monkeypatch.setattr(files, "write_aside", write_aside)
    with StateFolder(tmp_path / "made" / "step-12", {}, 0) as kept:
        part = Segment(trainer, segment(), "made", [], kept)
        for step in (0, 1):
            trainer.step(step)
            for sums in trainer.collect()[0]:
                part.history.add(sums)
            if step == 0:
                part.done = 1
                kept.save(1, trainer.snapshot(), part.progress())
    trainer.close()
    _, _, progress = state.read(kept.folder / "rolling-1.safetensors")
    assert progress["step"] == progress["sums"]["steps"] == 1


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOSPC, errno.EIO])
def test_a_failed_write_of_a_checkpoint_is_a_warning_and_the_next_is_tried(
    corpus, whole, tmp_path, monkeypatch, capfd, number
):
    output, replace, tried = tmp_path / "made" / "step-12", os.replace, []

    def fail_twice(source, target):
        if "rolling" in str(target):
            tried.append(target)
            if len(tried) in (2, 3):
                raise OSError(number, os.strerror(number), target)
        return replace(source, target)

    monkeypatch.setattr(os, "replace", fail_twice)
    pretrain.pretrain([corpus], None, segment(), output, save_steps=2)
    assert capfd.readouterr().err.count("warning: no checkpoint: ") == 2
    assert len(tried) == 6
    assert_same(output, whole)


def test_loss_by_span_length_grows_with_the_span(whole):
    with open(whole / "spans.csv", newline="") as file:
        lines = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert [(line["step"], line["span"]) for line in lines] == [
        (step, span) for step in (3, 6, 8, 9, 12) for span in (4, 8)
    ]
    assert all(4 < line["validation_loss"] < 7 for line in lines)
    # nearly all of four hidden tokens' bases are seen beside them, of eight few
    assert lines[1]["bound"] > lines[0]["bound"] > 0.9


def test_encoders_that_mask_otherwise_are_validated_alike(whole, corpus, tmp_path):
    others = {"replacement": {"mask": 1.0, "random": 0.0}, "center_probability": 0.15}
    hparams = segment(**others)
    hparams = hparams.model_copy(update={"span_masking": segment().span_masking})
    output = tmp_path / "made" / "step-12"
    pretrain.pretrain([corpus], None, hparams, output)
    bounds = []
    for made in (whole, output):
        with open(made / "spans.csv", newline="") as file:
            bounds.append({line["bound"] for line in csv.DictReader(file)})
    assert bounds[0] == bounds[1]
    assert len(bounds[0]) == 2
