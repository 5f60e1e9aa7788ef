"""What training costs, by arithmetic alone: weights, floating-point operations, bytes.

Imports nothing heavy. A product of a weight and a token is 2 FLOP forward and 4
backward (Chowdhery et al. 2022, appendix B); recomputation, norms and the optimizer are
left out, as peers leave them out. `sizes` is anything with `layers`, `hidden`,
`feed_forward` and `positions`.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """The sizes of an encoder that its cost depends on."""

    layers: int
    hidden: int
    feed_forward: int
    positions: int

    @classmethod
    def of(cls, architecture: dict[str, Any]) -> "Sizes":
        """Those of an entry of `architectures`."""
        names = ("layers", "hidden", "feed_forward", "positions")
        return cls(**{name: architecture[name] for name in names})


# Published configurations of the released encoders, and vocabularies. HyenaDNA's
# projections and feed-forward have the sizes of attention's.
RELEASED = {
    "bert": (Sizes(12, 768, 3072, 512), 4101),
    "esm": (Sizes(24, 1280, 5120, 1002), 4105),
    "hyena": (Sizes(2, 256, 1024, 1024), 12),
}


def _products(sizes: Any) -> int:
    """Weights of the layers' products, each used once for every token."""
    return sizes.layers * (4 * sizes.hidden**2 + 2 * sizes.hidden * sizes.feed_forward)


def parameters(sizes: Any, vocabulary: int) -> int:
    """Weights of an encoder like BERT with its masked-language-model head."""
    hidden, wide = sizes.hidden, sizes.feed_forward
    biases_and_norms = sizes.layers * (9 * hidden + wide)
    embeddings = (vocabulary + sizes.positions + 2 + 2) * hidden
    head = hidden**2 + 3 * hidden + vocabulary
    return _products(sizes) + biases_and_norms + embeddings + head


def forward_flops(sizes: Any, tokens: int) -> float:
    """FLOP of a forward pass a token, in a sequence of so many tokens; no head."""
    return 2.0 * _products(sizes) + 4.0 * sizes.layers * tokens * sizes.hidden


def training_flops(
    sizes: Any, vocabulary: int, tokens: int, masked_share: float
) -> float:
    """FLOP of pretraining a token; the head works on the masked share.

    571 million for the base encoder with sequences of 512 tokens.
    """
    head = 2.0 * (sizes.hidden**2 + sizes.hidden * vocabulary)
    return 3 * (forward_flops(sizes, tokens) + masked_share * head)
