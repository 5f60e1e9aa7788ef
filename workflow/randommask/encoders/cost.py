"""What training costs, by arithmetic alone: weights, floating-point operations, bytes.

Imports nothing heavy. A product of a weight and a token is 2 FLOP forward and 4
backward (Chowdhery et al. 2022, appendix B); recomputation, norms and the optimizer are
left out, as peers leave them out; so are near tokens that a sequence's end lacks.
`sizes` is anything with the attributes of `Sizes`; without a `kind` it is like BERT.
"""

from dataclasses import dataclass
from typing import Any

from randommask.experiment.sections import BERT, MODERN

NEEDED = ("layers", "hidden", "feed_forward", "positions")


@dataclass(frozen=True)
class Sizes:
    """The sizes of an encoder that its cost depends on."""

    layers: int
    hidden: int
    feed_forward: int
    positions: int
    kind: str = BERT
    local: int = 128
    global_every: int = 3

    @classmethod
    def of(cls, architecture: dict[str, Any]) -> "Sizes":
        """Those of an entry of `architectures`, or that a run tells of."""
        sizes = {name: architecture[name] for name in NEEDED}
        more = ("kind", "local", "global_every")
        return cls(**sizes | {n: architecture[n] for n in more if n in architecture})


# Published configurations of the released encoders, and vocabularies. HyenaDNA's
# projections and feed-forward have the sizes of attention's.
RELEASED = {
    "bert": (Sizes(12, 768, 3072, 512), 4101),
    "modern": (Sizes(22, 768, 1152, 8192, MODERN, 128, 3), 4101),
    "esm": (Sizes(24, 1280, 5120, 1002), 4105),
    "hf": (Sizes(12, 768, 3072, 512), 4101),  # a guess: what it is, its folder says
    "hyena": (Sizes(2, 256, 1024, 1024), 12),
}


def _products(sizes: Any) -> int:
    """Weights of the layers' products, each used once for every token."""
    ways = 3 if _is_modern(sizes) else 2  # a gate beside the way up and the way down
    wide = ways * sizes.hidden * sizes.feed_forward
    return sizes.layers * (4 * sizes.hidden**2 + wide)


def _is_modern(sizes: Any) -> bool:
    return getattr(sizes, "kind", BERT) == MODERN


def _seen(sizes: Any, tokens: int) -> int:
    """Tokens that one attends to in all layers together."""
    if not _is_modern(sizes):
        return sizes.layers * tokens
    whole = -(-sizes.layers // sizes.global_every)
    near = min(tokens, sizes.local + 1)
    return whole * tokens + (sizes.layers - whole) * near


def parameters(sizes: Any, vocabulary: int) -> int:
    """Weights of an encoder of ours with its masked-language-model head."""
    hidden, wide = sizes.hidden, sizes.feed_forward
    if _is_modern(sizes):
        norms = (2 * sizes.layers + 2) * hidden
        return _products(sizes) + norms + (vocabulary + hidden) * hidden + vocabulary
    biases_and_norms = sizes.layers * (9 * hidden + wide)
    embeddings = (vocabulary + sizes.positions + 2 + 2) * hidden
    head = hidden**2 + 3 * hidden + vocabulary
    return _products(sizes) + biases_and_norms + embeddings + head


def forward_flops(sizes: Any, tokens: int) -> float:
    """FLOP of a forward pass a token, in a sequence of so many tokens; no head."""
    return 2.0 * _products(sizes) + 4.0 * _seen(sizes, tokens) * sizes.hidden


def training_flops(
    sizes: Any, vocabulary: int, tokens: int, masked_share: float
) -> float:
    """FLOP of pretraining a token; the head works on the masked share.

    571 million for the base encoder with sequences of 512 tokens.
    """
    head = 2.0 * (sizes.hidden**2 + sizes.hidden * vocabulary)
    return 3 * (forward_flops(sizes, tokens) + masked_share * head)
