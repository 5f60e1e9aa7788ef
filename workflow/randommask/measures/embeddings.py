r"""What the word embeddings look like at each milestone, drawn and measured.

The vectors come straight from the weights of each checkpoint. Each is scaled to unit
length, so that what is near in the picture, and what the purity counts, is the cosine.
A milestone's t-SNE starts from the picture of the milestone before, so that the panels
can be compared.

    python -m randommask.measures.embeddings \
        --checkpoints results/pretrain/dnabert/step-{0,100} \
        --hparams '{"encoder": "dnabert", "steps": [0, 100], "seed": 0,
                    "perplexity": 30}' \
        --csv results/figures/embeddings/dnabert.csv \
        --purity results/figures/embeddings/dnabert.purity.csv

Shapes: N k-mers, H hidden size.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from randommask import kmers
from randommask.errors import InputError, run
from randommask.experiment.hparams import Embeddings
from randommask.files import new_file, read_json, write_aside

TENSORS = {
    "bert": "bert.embeddings.word_embeddings.weight",
    "modernbert": "model.embeddings.tok_embeddings.weight",
}
"""What the embeddings are called, by model_type."""
NEIGHBOURS = 10


def embed(
    checkpoints: list[str],
    purity: str,
    picture: str | None,
    settings: Embeddings,
) -> None:
    """Write the coordinates (step, kmer, center, x, y) and the purity of each step.

    `checkpoints` are folders, in the order of the steps. Coordinates have four
    decimals; without `picture`, whose t-SNE takes most of the time, there are none.
    Raises `InputError` where a checkpoint holds no embeddings of k-mers with even k.
    """
    steps = settings.steps
    if len(checkpoints) != len(steps):
        raise InputError(
            f"--checkpoints: {len(checkpoints)} folders, expected one for each of the "
            f"{len(steps)} steps"
        )
    lines = ["step,kmer,center,x,y"]
    measures = ["step,silhouette,purity,chance"]
    before_N2 = None
    for folder, step in zip(checkpoints, steps, strict=True):
        vectors_NH, k = read_embeddings(folder)
        names = kmers.names(k)
        centers = [center(name) for name in names]
        if before_N2 is not None and len(before_N2) != len(vectors_NH):
            raise InputError(
                f"{folder}: {len(names)} k-mers, expected {len(before_N2)}"
            )
        if picture is not None:
            before_N2 = project(
                vectors_NH, settings.seed, settings.perplexity, before_N2
            )
            lines += [
                f"{step},{name},{middle},{x:.4f},{y:.4f}"
                for name, middle, (x, y) in zip(names, centers, before_N2, strict=True)
            ]
        values = measure(vectors_NH, centers)
        measures.append(",".join(map(repr, (step, *values))))
    for path, rows in ((picture, lines), (purity, measures)):
        if path is None:
            continue
        with write_aside(path) as aside:
            aside.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="")


def center(kmer: str) -> str:
    """The two central nucleotides of a k-mer with even k."""
    middle = len(kmer) // 2
    return kmer[middle - 1 : middle + 1]


def read_embeddings(folder: str | Path) -> tuple[np.ndarray, int]:
    """The k-mers' vectors, scaled to unit length, in the order of their ids, and k.

    float32 (N, H), the specials left out. Raises `InputError` for an odd k, which has
    no two central nucleotides, and for weights that are missing or not finite.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(folder)
    weights = folder / "model.safetensors"
    config = read_json(folder / "config.json")
    k, tensor = config.get("k"), TENSORS.get(config.get("model_type"), TENSORS["bert"])
    if not isinstance(k, int) or k < 4 or k % 2:
        raise InputError(
            f"{folder / 'config.json'}: k is {k}, expected an even number from 4 on "
            "(odd k-mers have no two central nucleotides)"
        )
    try:
        with safe_open(weights, framework="numpy") as file:
            table = file.get_tensor(tensor).astype(np.float32)
    except SafetensorError as error:
        raise InputError(f"{weights}: {error}, expected the tensor {tensor}") from None
    if len(table) < kmers.vocab_size(k):
        raise InputError(
            f"{weights}: {len(table)} embeddings, expected {kmers.vocab_size(k)} "
            f"for k = {k}"
        )
    vectors = table[kmers.NUM_SPECIAL : kmers.vocab_size(k)]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise InputError(f"{weights}: {tensor} has a row that is zero or not finite")
    return vectors / lengths, k


def project(
    vectors_NH: np.ndarray,
    seed: int,
    perplexity: float,
    start_N2: np.ndarray | None = None,
) -> np.ndarray:
    """t-SNE of the vectors, from `start_N2` (N, 2) on or from their first two axes.

    Exact neighbours and Barnes-Hut: for a few thousand points both faster than the
    approximations and the same on every machine size. Threads: OMP_NUM_THREADS.
    """
    from openTSNE import TSNE
    from openTSNE.initialization import rescale

    if 3 * perplexity >= len(vectors_NH):
        raise InputError(
            f"perplexity: {perplexity}, expected less than a third of the "
            f"{len(vectors_NH)} k-mers"
        )
    tsne = TSNE(
        perplexity=perplexity,
        initialization="pca" if start_N2 is None else rescale(start_N2),
        neighbors="exact",
        negative_gradient_method="bh",
        n_jobs=int(os.environ.get("OMP_NUM_THREADS", "1")),
        random_state=seed,
    )
    return np.asarray(tsne.fit(vectors_NH))


def measure(vectors_NH: np.ndarray, groups: list[str]) -> tuple[float, float, float]:
    """How well vectors of unit length keep to their groups, by cosine, in all H axes.

    Returns the silhouette (-1 to 1), the purity (the share of the `NEIGHBOURS` nearest
    neighbours that are of a vector's own group) and the purity expected by chance.
    """
    from sklearn.metrics import silhouette_score

    _, group_N = np.unique(groups, return_inverse=True)
    near_NN = vectors_NH @ vectors_NH.T
    np.fill_diagonal(near_NN, -np.inf)
    nearest = np.argpartition(-near_NN, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    purity = float((group_N[nearest] == group_N[:, None]).mean())
    sizes, total = np.bincount(group_N), len(group_N)
    chance = float((sizes * (sizes - 1)).sum() / (total * (total - 1)))
    far_NN = np.clip(1 - near_NN, 0, 2)
    np.fill_diagonal(far_NN, 0)
    silhouette = float(silhouette_score(far_NN, group_N, metric="precomputed"))
    return silhouette, purity, chance


def main(argv: list[str] | None = None) -> None:
    """Read the flags and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", nargs="+", required=True)
    parser.add_argument("--hparams", required=True, help="JSON: see Embeddings")
    parser.add_argument("--csv", type=new_file, help="left out: nothing is drawn")
    parser.add_argument("--purity", type=new_file, required=True)
    flags = parser.parse_args(argv)
    settings = Embeddings.parse(flags.hparams)
    embed(flags.checkpoints, flags.purity, flags.csv, settings)


if __name__ == "__main__":
    run(main)
