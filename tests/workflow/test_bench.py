"""The GPU's benchmarks, rehearsed small: each runs and prints its table."""

import io
import json
import sys
import time

import pytest
import torch
from made import ROOT
from torch.nn import functional as F

from randommask.encoders import bert
from randommask.experiment.sections import Phase
from randommask.finetuning.tuning import Tuning

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


@pytest.mark.sweep
def test_pretraining(capsys):
    import gpu_pretraining

    gpu_pretraining.main(["--tiny", "--rows", "2"])
    product, published, ours, peer = table(capsys)
    assert product["useful"] == "100.0%"
    assert published["tokens/s"] == "327,680" and published["TFLOP/s"] == "261.5"
    for row in (ours, peer):
        step = float(row["step (ms)"])
        assert 0 < float(row["forward (ms)"]) + float(row["backward (ms)"]) < 2 * step
        rate = float(row["tokens/s"].replace(",", ""))
        assert rate == pytest.approx(16 * 16 / step * 1000, rel=0.02)
    assert peer["way, micro-batch, dropout"] == "transformers sdpa, 64, 0.1"
    gpu_pretraining.main(["--tiny", "--budget", "-1"])
    assert len(table(capsys)) == 2


def test_flops_of_the_base_encoder():
    import gpu_pretraining

    settings = gpu_pretraining.make_settings(False, 64, 0.1)
    phases = (Phase(until=10_000, max_span=6),)
    settings = settings.model_copy(update={"curriculum": phases})
    useful, executed = gpu_pretraining.flops(settings)
    assert useful == pytest.approx(571e6, rel=0.01)
    # the last layer's products after attention, where nothing is masked
    assert useful - executed == pytest.approx(26.1e6, rel=0.01)


@pytest.mark.sweep
def test_variants(capsys):
    import gpu_variants

    ways = list(gpu_variants.WAYS)[:2]
    gpu_variants.main(["--tiny", "--ways", *ways])
    before, after = table(capsys)
    assert before["faster"] == "1.000"
    # the residual in bf16 changes the numbers, and not the loss
    assert float(after["loss"]) == pytest.approx(float(before["loss"]), abs=0.05)


@pytest.mark.sweep
def test_a_loss_of_its_own_for_graphs_changes_nothing(capsys, monkeypatch):
    import gpu_variants

    monkeypatch.setitem(
        gpu_variants.WAYS, "replayed", gpu_variants.WAYS["CUDA graphs"][1:]
    )
    gpu_variants.main(["--tiny", "--ways", "as it is", "replayed"])
    before, after = table(capsys)
    assert after["loss"] == before["loss"]


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


def test_a_vocabulary_filled_up_gives_the_same_logits():
    import gpu_variants

    model = encoder()
    hidden = torch.randn(5, 16, requires_grad=True)
    expected = model.head(hidden)
    found = gpu_variants.padded_head(model, hidden)
    assert model.config.vocab_size % 64 and found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)
    grads = [
        torch.autograd.grad(x.logsumexp(1).sum(), hidden)[0] for x in (found, expected)
    ]
    assert torch.allclose(*grads, atol=1e-6)


def test_layers_that_hand_on_bf16_compute_the_same():
    import gpu_variants

    layer = encoder().layers[0].train()
    x = torch.randn(2, 9, 16)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = layer(x, None), gpu_variants.mixed_layer(layer, x, None)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), expected.float(), atol=0.05)


def encoder(dropout=0.0):
    sizes = bert.EncoderConfig(2, 16, 2, 32, 32, 3, "overlapping", dropout)
    model = bert.Encoder(sizes)
    model.initialise(torch.Generator().manual_seed(0))
    return model


def plain_varlen(q_NAD, k_NAD, v_NAD, ends_q, ends_k, max_q, max_k):
    """What torch's kernel computes, a sequence at a time."""
    assert ends_q.dtype == ends_k.dtype == torch.int32
    assert max_q == int(ends_q.diff().max()) and max_k == int(ends_k.diff().max())
    parts = []
    for row in range(len(ends_q) - 1):
        q, k, v = (
            x[ends[row] : ends[row + 1]].transpose(0, 1)
            for x, ends in ((q_NAD, ends_q), (k_NAD, ends_k), (v_NAD, ends_k))
        )
        parts.append(F.scaled_dot_product_attention(q, k, v).transpose(0, 1))
    return torch.cat(parts)


def test_packed_rows_attend_to_themselves_alone(monkeypatch):
    import gpu_variants

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", plain_varlen)
    layer = encoder().layers[0].train()
    parts = [part.detach() for part in layer._project(torch.randn(3, 9, 16))]
    expected = layer._attend(*parts, None)
    assert torch.allclose(
        gpu_variants.varlen_attend(layer, *parts, None), expected, atol=1e-6
    )
    fewer = [parts[0][:, :, :4], *parts[1:]]  # as where a layer has few queries
    assert torch.allclose(
        gpu_variants.varlen_attend(layer, *fewer, None), expected[:, :4], atol=1e-6
    )
    with pytest.raises(ValueError, match="padded"):
        gpu_variants.varlen_attend(layer, *parts, torch.zeros(9))


def test_attention_that_keeps_all_drops_elsewhere():
    import gpu_variants

    layer = encoder(dropout=0.5).layers[0].train()
    parts = layer._project(torch.randn(3, 9, 16))
    kept = [gpu_variants.attention_keeps_all(layer, *parts, None) for _ in range(2)]
    assert torch.equal(*kept) and layer.dropout == 0.5
    assert not torch.equal(layer._attend(*parts, None), kept[0])


def test_another_flash_attention_is_put_back(monkeypatch):
    import gpu_variants
    from torch.nn import attention

    said = []
    for name in ("activate_flash_attention_impl", "restore_flash_attention_impl"):
        monkeypatch.setattr(
            attention, name, lambda *a, n=name: said.append((n, *a)), raising=False
        )
    with gpu_variants.flash_attention("FA3"):
        assert said == [("activate_flash_attention_impl", "FA3")]
    assert said[1:] == [("restore_flash_attention_impl",)]


@pytest.mark.sweep
def test_a_way_that_is_not_offered_is_one_line(capsys):
    """Here: no CUDA kernel, and no package of FlashAttention 3."""
    import gpu_variants

    ways = ["as it is", "varlen attention", "FlashAttention 3", "padded vocabulary"]
    gpu_variants.main(["--tiny", "--ways", *ways])
    said = capsys.readouterr()
    rows = [line.split("|")[1].strip() for line in said.out.splitlines()[2:]]
    assert rows == ["as it is", "padded vocabulary"]
    lines = [line for line in said.err.splitlines() if line.startswith(tuple(ways))]
    assert [line.split(":")[0] for line in lines] == ways[1:3]


@pytest.mark.sweep
def test_kernels(capsys):
    import gpu_kernels

    gpu_kernels.main(["--tiny"])
    rows = table(capsys)
    assert len(rows) == 26 and rows[-1]["kernel"] == "all"


@pytest.mark.sweep
@pytest.mark.parametrize("way", ["ours", "ours, 3 take turns"])
def test_finetuning(capsys, monkeypatch, tmp_path, way):
    import gpu_finetuning

    gpu_finetuning.write_inputs(tmp_path / "made", 20, tiny=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\n"))
    taken, step = [], Tuning.step

    def note(self, number):
        taken.append((self.settings.seed, number))
        return step(self, number)

    monkeypatch.setattr(Tuning, "step", note)
    worker = ["--worker", way, "--folder", str(tmp_path / "made")]
    gpu_finetuning.main(["--tiny", *worker, "--precision", "bf16"])
    ready, ended = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready["first"] > 0 and ended["rate"] > 0
    seeds = range(gpu_finetuning.WAYS[way][1])
    assert taken[: 2 * len(seeds)] == [(s, n) for n in range(2) for s in seeds]


def test_the_table_of_finetuning(capsys, monkeypatch):
    import gpu_finetuning

    rates = {"transformers": 4.0, "ours": 8.0}

    def measure(way, *_):
        if "streams" in way:
            raise ValueError
        return rates.get(way, 10.0), 1.0, 2.0

    monkeypatch.setattr(gpu_finetuning, "measure", measure)
    gpu_finetuning.main(["--tiny", "--lengths", "20", "30"])
    rows = table(capsys)
    assert len(rows) == 5 + 2 + 2
    assert rows[-1]["bases, precision"] == "20, fp32"
    turns = next(row for row in rows if row["way"] == "ours, 3 take turns")
    assert turns["times transformers"] == "2.50"
    assert turns["times ours alone"] == "1.25"


def test_all_of_it_within_the_time(monkeypatch, capfd):
    """Each program has its share, what another left, and an end that is kept to."""
    import gpu

    begun = []

    class Started:
        pid = 0

        def __init__(self, command, **_):
            begun.append(command)

        def wait(self, seconds=0.0):
            return 0

        def poll(self):
            return 0

    with monkeypatch.context() as patched:
        patched.setattr(gpu.subprocess, "Popen", Started)
        gpu.main(["--tiny", "--seconds", "110"])
    said = capfd.readouterr().out
    assert [line[3:] for line in said.splitlines() if line.startswith("## ")] == [
        *gpu.SHARES
    ]
    budgets = [
        float(command[command.index("--budget") + 1])
        for command in begun
        if "--budget" in command
    ]
    assert budgets == pytest.approx([30, 62, 100], abs=1)
    assert sum(gpu.SHARES.values()) == pytest.approx(1)
    here = {path.stem for path in (ROOT / "bench").glob("gpu_*.py")}
    assert here == {*gpu.SHARES}


def test_a_program_that_takes_longer_is_ended(monkeypatch, tmp_path, capfd):
    import gpu

    program = tmp_path / "slow.py"
    program.write_text("import time; print('row', flush=True); time.sleep(600)")
    monkeypatch.setattr(gpu, "__file__", str(tmp_path / "gpu.py"))
    begun = time.monotonic()
    gpu.measure("slow", begun + 5.0, [])
    assert time.monotonic() - begun < 60
    said = capfd.readouterr()
    assert said.out == "row\n" and "slow: stopped, as the time is over" in said.err


def test_nothing_without_a_gpu(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    import gpu
    import gpu_finetuning
    import gpu_kernels
    import gpu_pretraining
    import gpu_variants

    for program in (gpu, gpu_finetuning, gpu_kernels, gpu_pretraining, gpu_variants):
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
