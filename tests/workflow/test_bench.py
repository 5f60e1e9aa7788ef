"""The GPU's benchmarks, rehearsed small: each runs and prints its table."""

import io
import json
import sys

import pytest
import torch
from made import ROOT

from randommask.experiment.sections import Phase

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    import gpu_pretraining

    monkeypatch.setattr(gpu_pretraining, "REPEATS", 1)
    yield
    torch._dynamo.reset()


def table(capsys):
    """Cells of the rows below the header; all have at most its width."""
    header, rule, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert set("".join(rule)) == {"-"} and len(rule) == len(header)
    assert all(len(row) <= len(header) for row in rows)
    return [dict(zip(header, row, strict=False)) for row in rows]


def test_pretraining(capsys):
    import gpu_pretraining

    gpu_pretraining.main(["--tiny", "--rows", "2"])
    product, ours, peer = table(capsys)
    assert product["useful"] == "100.0%"
    for row in (ours, peer):
        step = float(row["step (ms)"])
        assert 0 < float(row["forward (ms)"]) + float(row["backward (ms)"]) < 2 * step
        rate = float(row["tokens/s"].replace(",", ""))
        assert rate == pytest.approx(16 * 16 / step * 1000, rel=0.02)
    assert peer["way, micro-batch, dropout"] == "transformers sdpa, 64, 0.1"
    gpu_pretraining.main(["--tiny", "--budget", "-1"])
    assert len(table(capsys)) == 1


def test_flops_of_the_base_encoder():
    import gpu_pretraining

    settings = gpu_pretraining.make_settings(False, 64, 0.1)
    phases = (Phase(until=10_000, max_span=6),)
    settings = settings.model_copy(update={"curriculum": phases})
    useful, executed = gpu_pretraining.flops(settings)
    assert useful == pytest.approx(571e6, rel=0.01)
    # the last layer's products after attention, where nothing is masked
    assert useful - executed == pytest.approx(26.1e6, rel=0.01)


def test_variants(capsys):
    import gpu_variants

    ways = list(gpu_variants.WAYS)[:2]
    gpu_variants.main(["--tiny", "--ways", *ways])
    before, after = table(capsys)
    assert before["faster"] == "1.000"
    # the residual in bf16 changes the numbers, and not the loss
    assert float(after["loss"]) == pytest.approx(float(before["loss"]), abs=0.05)


def test_dropout_by_a_hash():
    import gpu_variants

    torch.manual_seed(1)
    ones = torch.ones(1000, 1000)
    first, second = (gpu_variants.hash_dropout(ones, 0.1) != 0 for _ in range(2))
    for kept in (first, second):
        assert kept.float().mean() == pytest.approx(0.9, abs=0.002)
        for shifted in (kept[1:, :] & kept[:-1, :], kept[:, 1:] & kept[:, :-1]):
            assert shifted.float().mean() == pytest.approx(0.81, abs=0.003)
    assert (first & second).float().mean() == pytest.approx(0.81, abs=0.003)


def test_kernels(capsys):
    import gpu_kernels

    gpu_kernels.main(["--tiny"])
    rows = table(capsys)
    assert len(rows) == 26 and rows[-1]["kernel"] == "all"


def test_finetuning(capsys, monkeypatch, tmp_path):
    import gpu_finetuning

    gpu_finetuning.write_inputs(tmp_path / "made", 20, tiny=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\n"))
    worker = ["--worker", "ours", "--folder", str(tmp_path / "made")]
    gpu_finetuning.main(["--tiny", *worker, "--precision", "bf16"])
    ready, ended = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready["first"] > 0 and ended["rate"] > 0
    monkeypatch.setattr(gpu_finetuning, "together", lambda *_: (8.0, 1.0, 2.0))
    gpu_finetuning.main(["--tiny", "--lengths", "20", "30"])
    rows = table(capsys)
    assert [row["bases, precision"] for row in rows] == [
        f"{bases}, {precision}" for precision in ("bf16", "fp32") for bases in (20, 30)
    ]
    assert rows[0]["ours, 4 at once (steps/s)"] == "8.0"


def test_nothing_without_a_gpu(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    import gpu_finetuning
    import gpu_kernels
    import gpu_pretraining
    import gpu_variants

    for program in (gpu_finetuning, gpu_kernels, gpu_pretraining, gpu_variants):
        program.main([])
        assert capsys.readouterr().out == "No CUDA device: not measured.\n"


@pytest.mark.sweep
def test_reliability(capsys, monkeypatch):
    import reliability

    monkeypatch.setattr(reliability, "FLIPS", 2)
    answers = {
        "tests/test_full_disk.py": "1 failed, 3 passed in 2 s",
        "tests/data/test_hostile.py": "5 passed in 2 s",
        "tests/fuzz": "| csv_rows | 1,500 | 20 | 0 |\n| zip | 7 | 2 | 1 |\n",
    }
    monkeypatch.setattr(reliability, "_pytest", lambda *flags: answers[flags[-1]])
    reliability.main(["--tries", "2"])
    *own, disk, server, csv, zipped = table(capsys)
    assert len(own) == 11
    assert all(row["tries"] == row["survived"] == "2" for row in own)
    found = [(row["tries"], row["survived"]) for row in (disk, server, csv, zipped)]
    assert found == [("4", "3"), ("5", "5"), ("1500", "1500"), ("7", "0")]
