"""What training costs: against numbers worked out by hand, and torch's own count."""

from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from made import ROOT

from randommask.encoders import bert, cost
from randommask.experiment import encoders, file, runs
from randommask.experiment.datasets import read
from randommask.experiment.sections import LocalCopy
from randommask.plan.work import (
    download_bytes,
    finetuning,
    genome_bases,
    is_size_known,
    segment,
    segment_bytes,
    sequence_tokens,
)

BASE = cost.Sizes(12, 768, 3072, 512)
PAPER = file.load(ROOT / "config" / "config.yaml")


def test_the_papers_pretraining_by_hand():
    # 12 layers of 4 x 768^2 (attention) + 2 x 768 x 3072 (feed-forward):
    # 84.9 M weights, 6 FLOP each; attention 12 x 12 x 512 x 768; the head for 14 %
    by_hand = 6 * 84_934_656 + 56_623_104 + 6 * 0.1409 * (589_824 + 3_149_568)
    assert cost.training_flops(BASE, 4101, 512, 0.1409) == pytest.approx(by_hand)
    hparams = encoders.segment(PAPER, "dnabert", 480_000).model_copy(
        update={"start": 0}
    )
    work = segment(hparams)
    assert work.steps == 480_000 and work.tokens == 480_000 * 512 * 512
    assert work.flops == pytest.approx(7.2e19, rel=0.01)
    # eight A100 for two days: 52 TFLOP/s each
    assert work.flops / (8 * 48 * 3600) == pytest.approx(5.2e13, rel=0.01)


def test_segments_add_up_to_the_whole():
    parts = [
        segment(encoders.segment(PAPER, "dnabert", end))
        for end in encoders.segment_ends(PAPER, "dnabert")
    ]
    whole = encoders.segment(PAPER, "dnabert", 480_000).model_copy(update={"start": 0})
    assert len(parts) == 7
    assert sum(part.flops for part in parts) == pytest.approx(segment(whole).flops)


def test_longer_spans_ask_more_of_the_head():
    ours = encoders.segment(PAPER, "randommask", 480_000)
    theirs = encoders.segment(PAPER, "dnabert", 480_000)
    more = segment(ours).flops - segment(theirs).flops
    # 22.33 % of the tokens instead of 14.09 %, over 110,000 steps, less at the ends
    head = 6 * (768**2 + 768 * 4101)
    tokens = 110_000 * 512 * 512
    assert more == pytest.approx(tokens * head * (0.2233 - 0.1409), rel=1e-2)


@pytest.mark.parametrize("layers, hidden, heads", [(12, 768, 12), (2, 64, 2)])
def test_weights_are_those_of_the_encoder(layers, hidden, heads):
    sizes = cost.Sizes(layers, hidden, 4 * hidden, 512)
    made = bert.EncoderConfig(layers, hidden, heads, 4 * hidden, 512, 6, "overlapping")
    with torch.device("meta"):
        weights = list(bert.Encoder(made).parameters())
    assert cost.parameters(sizes, 4101) == sum(weight.numel() for weight in weights)


def test_a_finetuning_run_by_hand():
    dataset = next(
        row for row in read(ROOT / "config/datasets.tsv") if row.dataset == "EMP-H3"
    )
    run = runs.finetuning(PAPER, "dnabert", "overlapping", dataset, 1)
    work = finetuning(run, dataset, dataset.rows, BASE, 6)
    assert work.steps == 100 * 375  # 11,971 rows by 32, rounded up
    tokens = 500 - 6 + 1 + 2
    assert work.tokens == 100 * 11_971 * tokens
    rows = 100 * (3 * 11_971 + 1_497) + 1_497
    each = 2 * 84_934_656 + 4 * 12 * tokens * 768
    assert work.flops == pytest.approx(rows * tokens * each)


@pytest.mark.parametrize("bases", [36, 101, 249, 500])
@pytest.mark.parametrize(
    ("family", "k", "tokenization"),
    [
        ("bert", 6, "overlapping"),
        ("bert", 6, "non-overlapping"),
        ("esm", 6, "overlapping"),
        ("esm", 6, "non-overlapping"),
        ("hyena", 1, "character"),
    ],
)
def test_tokens_of_a_sequence_are_the_tokenizers(family, k, tokenization, bases):
    """DeepSTARR's 249 bases are 249 tokens to HyenaDNA: it fine-tunes without [SEP]."""
    module = import_module(f"randommask.encoders.families.{family}")
    _, counts = module.tokenize(["A" * bases], tokenization, SimpleNamespace(k=k))
    assert sequence_tokens(family, tokenization, bases, k) == counts[0]


def test_what_a_segment_leaves(tmp_path):
    hparams = encoders.segment(PAPER, "dnabert", 30_000)
    weights = 4 * 89_196_549
    left, meanwhile = segment_bytes(hparams)
    assert left == weights * (1 + 3 + 6)  # milestones 0, 100, ... 10,000
    assert meanwhile == weights * 9


def test_a_genomes_size(tmp_path):
    bases = genome_bases(PAPER, "hg38")
    assert bases == pytest.approx(3_088_269_832, rel=0.01)  # chr1 to 22, X, Y
    (tmp_path / "a.fa").write_bytes(b"x" * 100)
    (tmp_path / "b.fa.gz").write_bytes(b"x" * 100)
    mine = LocalCopy(path=str(tmp_path))
    local = PAPER.model_copy(update={"sources": {"mine": mine}})
    assert genome_bases(local, "mine") == 414
    assert download_bytes(mine) == 0
    assert not is_size_known(PAPER.sources["gue"])
