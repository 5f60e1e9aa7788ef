r"""Where an encoder looks: attention maps, and three numbers for each layer.

The paper sees the middle layers of an encoder of overlapping tokens look at [CLS] only.
Its reviewers asked for a number; here are the maps and the numbers, over windows of DNA
that are drawn like the validation windows of pretraining.

    python -m randommask.measures.attention \
        --encoder results/encoders/dnabert \
        --corpus results/corpus/hg38/manifest.json \
        --hparams '{"encoder": "dnabert", "windows": 16, "seed": 0, "tokens": 64,
                    "held_out": []}' \
        --npz results/figures/attention/dnabert.npz \
        --csv results/figures/attention/dnabert.csv

Shapes: L layers, B windows, A heads, T tokens with both specials.
"""

import argparse
from typing import TYPE_CHECKING

import numpy as np

from randommask import kmers
from randommask.data import manifest
from randommask.data.windows import Corpus
from randommask.errors import InputError, run
from randommask.experiment.hparams import Attention
from randommask.files import new_file, write_aside

if TYPE_CHECKING:
    from torch import Tensor, nn


def attend(
    folder: str,
    manifests: list[str],
    npz: str,
    csv: str,
    settings: Attention,
) -> None:
    """Write the map (L, T, T) float32, a mean over heads and windows, and the numbers.

    The numbers are those of `measure`, one line a layer, layers counted from 1. A
    window gives `tokens` tokens, [CLS] and [SEP] among them.
    """
    from randommask.encoders import ours

    for path in manifests:
        manifest.verify(path)
    model = ours.at(folder).load(folder)
    config, tokens = model.config, settings.tokens
    if tokens > config.positions:
        raise InputError(
            f"tokens: {tokens}, expected at most {config.positions}, the positions of "
            f"{folder}"
        )
    bases = kmers.window_bases(tokens, config.tokenization, config.k)
    corpus = Corpus(manifests, bases, settings.held_out)
    codes = corpus.validation_windows(settings.seed, settings.windows)
    step = kmers.stride(config.tokenization, config.k)
    ids = np.full((len(codes), tokens), kmers.CLS, np.int64)
    ids[:, 1:-1] = kmers.kmer_ids(codes, config.k, step)
    ids[:, -1] = kmers.SEP
    map_LTT, numbers = average(model, ids)
    # one fixed entry in an uncompressed archive: the same bytes in every run
    with write_aside(npz) as aside, open(aside, "wb") as file:
        np.savez(file, map=map_LTT)
    lines = ["layer,cls_mass,entropy,distance"]
    lines += [
        ",".join([str(layer), *map(repr, row)])
        for layer, row in enumerate(numbers.tolist(), 1)
    ]
    with write_aside(csv) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def average(model: "nn.Module", ids_BT: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean map (L, T, T) float32 and mean numbers (L, 3) float64 of these windows."""
    import torch

    model.eval()
    maps, numbers = [], []
    with torch.inference_mode():
        for ids_1T in torch.from_numpy(ids_BT).split(1):
            attention_LBATT = model.attention_maps(ids_1T).double()
            maps.append(attention_LBATT.mean(dim=(1, 2)))
            numbers.append(measure(attention_LBATT))
    map_LTT = torch.stack(maps).mean(dim=0).float()
    return map_LTT.numpy(), torch.stack(numbers).mean(dim=0).numpy()


def measure(attention_LBATT: "Tensor") -> "Tensor":
    """[CLS] mass, entropy and distance of each layer: (L, 3).

    All three are taken for each head, window and querying k-mer (the specials' own
    queries are left out), then averaged: how much attention falls on [CLS]; the entropy
    in nats of the attention to all T tokens; the mean distance |i - j| in tokens, over
    what attention falls on k-mers (0 where none does).
    """
    import torch

    from_kmers = attention_LBATT[..., 1:-1, :]
    to_kmers = from_kmers[..., 1:-1]
    cls_mass = from_kmers[..., 0]
    entropy = torch.special.entr(from_kmers).sum(dim=-1)
    position = torch.arange(to_kmers.shape[-1])
    apart = (position[:, None] - position).abs().to(to_kmers.dtype)
    distance = (to_kmers * apart).sum(dim=-1) / to_kmers.sum(dim=-1)
    numbers = torch.stack([cls_mass, entropy, distance.nan_to_num()], dim=-1)
    return numbers.mean(dim=(1, 2, 3))


def main(argv: list[str] | None = None) -> None:
    """Read the flags and average."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--corpus", nargs="+", required=True)
    parser.add_argument("--hparams", required=True, help="JSON: see Attention")
    parser.add_argument("--npz", type=new_file, required=True)
    parser.add_argument("--csv", type=new_file, required=True)
    flags = parser.parse_args(argv)
    settings = Attention.parse(flags.hparams)
    attend(flags.encoder, flags.corpus, flags.npz, flags.csv, settings)


if __name__ == "__main__":
    run(main)
