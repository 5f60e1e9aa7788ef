"""How encoders are pretrained: sizes, masks, schedule, optimizer."""

from typing import Annotated, Any, Literal

from pydantic import Field

from randommask.experiment.form import (
    Betas,
    Count,
    Different,
    Flag,
    Fraction,
    K,
    Name,
    NotNegative,
    Portion,
    Positive,
    Record,
    Section,
    Seed,
    Share,
    Some,
    Whole,
    unless,
)

OVERLAPPING, NON_OVERLAPPING, CHARACTER = "overlapping", "non-overlapping", "character"
OWN = "own"
Tokens = Literal["overlapping", "non-overlapping"]
Tokenization = Literal["overlapping", "non-overlapping", "character", "own"]
Precision = Literal["fp32", "bf16", "auto"]

SPANS, GEOMETRIC, GENEMASK, TOP_PMI = "spans", "geometric", "genemask", "top-pmi"
Masking = Literal["spans", "geometric", "genemask", "top-pmi"]
RANKED = (GENEMASK, TOP_PMI)
"""Maskings that choose by the ranks of k-mers."""
ADAMW, MUON = "adamw", "muon"

BERT, MODERN = "bert", "modern"
MODEL_TYPES = {BERT: "bert", MODERN: "modernbert"}
"""What transformers calls each kind of architecture."""

MICRO_BATCH = 64
WARMUP_PARTS = 48
"""The paper's 480,000 steps to DNABERT's 10,000 of warm-up."""


class Architecture(Section):
    """The sizes of an encoder; the paper's are BERT-base's."""

    kind: Literal["bert", "modern"] = unless(BERT)
    """`bert`, or `modern`: rotary positions, norms before each part, GeGLU, no biases
    (ModernBERT)"""
    layers: Count = 12
    """transformer layers"""
    hidden: Count = 768
    """units of a token, a multiple of `heads`"""
    heads: Count = 12
    """attention heads of a layer"""
    feed_forward: Count = 3072
    """units between a layer's two products"""
    positions: Count = 512
    """tokens of the longest sequence, [CLS] and [SEP] included"""
    dropout: Fraction = 0.1
    """in pretraining"""
    local: Annotated[int, Field(strict=True, ge=2, multiple_of=2)] = unless(128)
    """of `modern`: tokens around each that a layer of near attention sees, half of
    them to each side"""
    global_every: Count = unless(3)
    """of `modern`: the first of so many layers sees all tokens, the others near ones;
    1: all see all"""


class Phase(Section):
    """A part of a curriculum."""

    until: Count
    """the step it ends at"""
    max_span: Count
    """tokens, the longest masked span"""
    masking: Masking = unless(SPANS)
    """how: `spans` of each length alike, `geometric` ones, which get rarer with their
    length (SpanBERT), or as many tokens by rank, `genemask` or `top-pmi` (GeneMask)"""


class Replacement(Section):
    """What becomes of the masked tokens; the rest is kept as it is."""

    mask: Portion = 0.8
    """share that becomes [MASK]"""
    random: Portion = 0.1
    """share that becomes any token of the vocabulary"""


def _min_span(found: dict[str, Any]) -> int:
    return found["k"] if found["tokenization"] == OVERLAPPING else 1


def _micro_batch(found: dict[str, Any]) -> int:
    fitting = range(1, min(found["batch"], MICRO_BATCH) + 1)
    return max(size for size in fitting if found["batch"] % size == 0)


class Training(Section):
    """All that decides an encoder's weights, but its curriculum and architecture."""

    genomes: Some[Name]
    """the corpus, by names in `sources`; without it all genomes there"""
    held_out: Different[Record] = ()
    """chromosomes kept out of training (validation then comes from them alone)"""
    reverse_complement: Flag = False
    """`true`: each training window is read from the other strand with chance 1/2;
    validation windows never are"""
    k: K = 6
    """bases a token, 1 to 7"""
    tokenization: Tokens = "overlapping"
    """a token at every base (`overlapping`) or every k (`non-overlapping`)"""
    tokens: Annotated[int, Field(strict=True, ge=4)] = 512
    """length of a training sequence, [CLS] and [SEP] included. Shorter than the
    positions: those behind are copies of the trained ones"""
    min_span: Count = Field(default_factory=_min_span)
    """tokens, the shortest masked span; without it k, or 1 for `non-overlapping`"""
    center_probability: Share = 0.025
    """chance of a token to be a span's centre"""
    target_share: Share | None = None
    """share of tokens to mask; `center_probability` is then derived for each phase.
    `null`: off"""
    replacement: Replacement = Field(default_factory=Replacement)
    """shares of the masked tokens that become [MASK] (`mask`) and any token of the
    vocabulary (`random`); the rest is kept; without it 0.8 and 0.1"""
    steps: Count = 480_000
    """optimizer steps"""
    batch: Count = 512
    """sequences a step, over all GPUs"""
    micro_batch: Count = Field(default_factory=_micro_batch)
    """sequences in one forward pass. `batch` is a multiple of it times the GPUs: 64 is
    for up to 8 and takes some 16 GB of each by arithmetic (base encoder, bf16), 32 for
    16; without it the largest that divides `batch`, up to 64"""
    learning_rate: Positive = 1e-4
    """peak: at the end of the warm-up"""
    warmup_steps: Whole = Field(
        default_factory=lambda found: found["steps"] // WARMUP_PARTS
    )
    """steps of linear warm-up, then linear decay to 0 at `steps`; without it 1 in 48 of
    the steps"""
    optimizer: Literal["adamw", "muon"] = unless(ADAMW)
    """`adamw` for all weights, or `muon` for the matrices of the layers and AdamW for
    the rest"""
    betas: Betas = (0.9, 0.98)
    """of AdamW"""
    eps: Positive = 1e-6
    """of AdamW"""
    weight_decay: NotNegative = 0.01
    """of AdamW, not on biases and norms"""
    clip: Positive = 1.0
    """the norm that gradients are clipped to"""
    precision: Precision = "auto"
    """`bf16`, `fp32`, or `auto`: bf16 where the hardware computes in it"""
    seed: Seed = 1
    """of weights, windows, masks and dropout"""
    validation_windows: Count = 512
    """fixed windows with fixed masks"""


class Pretrain(Training):
    """What all our encoders share; an encoder may have another value of each key."""

    architecture: Name = "base"
    """one of `architectures`"""
    segments: Different[Whole] = ()
    """steps at which a job ends and the next begins; the last is always `steps`"""
    milestones: Different[Whole] = ()
    """steps whose weights are kept for Figure 2"""
    log_every: Count = 100
    """steps a row of `history.csv`; also at milestones and the ends of phases and
    segments"""
    validate_every: Count = 1000
    """steps; likewise"""
    validation_spans: Different[Count] = ()
    """tokens; validation also with all spans of these lengths (`spans.csv`), and
    otherwise as `pretrain` masks, whatever the encoder itself trains on: compares
    encoders of one k and tokenization"""
    verify_every: Whole = 0
    """steps; the gradient of one in so many is computed twice, and training stops where
    they differ: memory or a processor makes errors. 1 doubles the time, 100 takes 1 %
    more, 0 is off"""
