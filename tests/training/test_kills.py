"""Killed at any operation on files, a training ends as if it had not been.

A few operations are tried; `pytest --all-kills tests/training/test_kills.py` tries all.
"""

import os

import pytest
from made.dataset import hparams
from made.genome import segment
from made.kills import begin_at, contents, in_child, killed, operations

from randommask import files
from randommask.data import manifest
from randommask.finetuning import __main__ as finetuning
from randommask.finetuning import results
from randommask.pretraining import __main__ as pretraining
from randommask.pretraining.segment import Segment

pytestmark = pytest.mark.usefixtures("one_thread")


# the last checkpoint at the end, or not
@pytest.mark.parametrize("save_steps", [2, pytest.param(5, marks=pytest.mark.sweep)])
def test_a_segment_killed_at_its_end(corpus, tmp_path, some_kills, save_steps):
    def run(output, **options):
        pretraining.pretrain([corpus], None, segment(), output, **options)

    def work(kill, output):
        begin_at(kill, Segment, "finish")
        run(output, save_steps=save_steps)

    whole = tmp_path / "whole" / "made" / "step-12"
    manifest.verify(corpus)  # once, or the first run had more operations
    count = operations(lambda kill: work(kill, whole), tmp_path)
    assert count > 60
    for number in some_kills(count):
        output, said = tmp_path / str(number) / "made" / "step-12", tmp_path / "said"
        assert killed(lambda kill, to=output: work(kill, to), number) == -9
        if output.exists():  # then whole
            assert contents(output) == contents(whole), number
            files.remove(output)  # by Snakemake, which did not see the job end
        assert in_child(lambda to=output: run(to), said) == 0, said.read_text()
        assert contents(output) == contents(whole), number
        assert "going on from" in said.read_text(), number
        [kept] = output.parent.glob(".state/*")
        assert len(os.listdir(kept)) == 2, os.listdir(kept)


@pytest.mark.sweep
def test_a_segment_killed_anywhere(corpus, tmp_path, some_kills):
    def run(output, **options):
        pretraining.pretrain([corpus], None, segment(), output, **options)

    def work(kill, output):
        kill.begin()
        run(output, save_steps=1)

    whole = tmp_path / "whole" / "made" / "step-12"
    manifest.verify(corpus)  # once, or the first run had more operations
    count = operations(lambda kill: work(kill, whole), tmp_path)
    for number in some_kills(count, tried=6):
        output = tmp_path / str(number) / "made" / "step-12"
        assert killed(lambda kill, to=output: work(kill, to), number) == -9
        files.remove(output)
        assert in_child(lambda to=output: run(to)) == 0
        assert contents(output) == contents(whole), number


def test_a_fine_tuning_killed_at_its_end(folder, dataset, tmp_path, some_kills):
    def run(output, save_seconds=60.0):
        finetuning.finetune(
            folder,
            dataset,
            hparams(epochs=1),
            metrics_path=output / "metrics.json",
            predictions_path=output / "predictions.parquet",
            history_path=output / "history.csv",
            model_path=output / "model",
            save_seconds=save_seconds,
        )

    def work(kill, output):
        begin_at(kill, results, "write")
        run(output, save_seconds=0.0)

    whole = tmp_path / "whole"
    count = operations(lambda kill: work(kill, whole), tmp_path)
    assert count > 40
    for number in some_kills(count):
        output, said = tmp_path / str(number), tmp_path / "said"
        assert killed(lambda kill, to=output: work(kill, to), number) == -9
        for path in output.iterdir():  # by Snakemake
            if path.name != ".state":
                files.remove(path)
        assert in_child(lambda to=output: run(to), said) == 0, said.read_text()
        text = said.read_text()
        assert "going on from" in text or "finished before" in text, number
        assert contents(output) == contents(whole), number
