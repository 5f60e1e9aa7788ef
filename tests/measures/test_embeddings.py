import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from randommask import kmers
from randommask.errors import InputError
from randommask.experiment.hparams import Embeddings
from randommask.measures import embeddings


def planted(k, spread, seed=0, hidden=12):
    """Vectors of all k-mers, each near the point of its two central nucleotides."""
    generator = np.random.default_rng(seed)
    groups = [embeddings.center(name) for name in kmers.names(k)]
    points = {group: generator.normal(size=hidden) for group in sorted(set(groups))}
    noise = generator.normal(size=(4**k, hidden))
    vectors = np.array([points[group] for group in groups]) + spread * noise
    return vectors.astype(np.float32), groups


def checkpoint(folder, vectors, k):
    folder.mkdir()
    specials = np.zeros((kmers.NUM_SPECIAL, vectors.shape[1]), np.float32)
    table = np.concatenate([specials, vectors.astype(np.float32)])
    save_file({embeddings.TENSORS["bert"]: table}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"k": k}))
    return str(folder)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_planted_clusters_are_pure():
    vectors, groups = planted(6, spread=0.05)
    silhouette, purity, chance = embeddings.measure(unit(vectors), groups)
    assert purity > 0.99
    assert silhouette > 0.8
    assert chance == pytest.approx(255 / 4095)


def test_shuffled_vectors_are_near_chance():
    vectors, groups = planted(6, spread=0.05)
    shuffled = np.random.default_rng(1).permutation(vectors)
    silhouette, purity, chance = embeddings.measure(unit(shuffled), groups)
    assert purity == pytest.approx(chance, abs=0.015)
    assert abs(silhouette) < 0.1


def test_purity_agrees_with_a_naive_count():
    vectors, groups = planted(4, spread=0.8)
    vectors = unit(vectors)
    same = []
    for row, vector in enumerate(vectors):
        cosines = [float(vector @ other) for other in vectors]
        order = sorted(range(len(vectors)), key=lambda other: -cosines[other])
        nearest = [other for other in order if other != row][: embeddings.NEIGHBOURS]
        same += [groups[other] == groups[row] for other in nearest]
    assert embeddings.measure(vectors, groups)[1] == pytest.approx(np.mean(same))


def test_command_writes_both_tables_twice_the_same(tmp_path):
    random = np.random.default_rng(3).normal(size=(256, 8))
    clustered, _ = planted(4, spread=0.1, hidden=8)
    folders = [
        checkpoint(tmp_path / "step-0", random, 4),
        checkpoint(tmp_path / "step-50", clustered, 4),
    ]
    hparams = {"encoder": "x", "steps": [0, 50], "seed": 0, "perplexity": 20}
    made = []
    for name in ("first", "second"):
        picture, purity = tmp_path / f"{name}.csv", tmp_path / f"{name}.purity.csv"
        flags = ["--checkpoints", *folders, "--hparams", json.dumps(hparams)]
        embeddings.main([*flags, "--csv", str(picture), "--purity", str(purity)])
        made.append((picture.read_bytes(), purity.read_bytes()))
    assert made[0] == made[1]
    picture, purity = (text.decode().splitlines() for text in made[0])
    assert picture[0] == "step,kmer,center,x,y"
    assert len(picture) == 1 + 2 * 256
    assert picture[1].startswith("0,AAAA,AA,")
    assert picture[-1].startswith("50,GGGG,GG,")
    assert purity[0] == "step,silhouette,purity,chance"
    before, after = (list(map(float, line.split(","))) for line in purity[1:])
    assert before[0] == 0 and after[0] == 50
    assert before[2] < 0.15 and after[2] > 0.99


def test_next_picture_starts_from_the_one_before():
    vectors, groups = planted(4, spread=0.1)
    vectors = unit(vectors)
    first = embeddings.project(vectors, seed=0, perplexity=20)
    second = embeddings.project(vectors, seed=0, perplexity=20, start_N2=first[:, ::-1])
    for group in set(groups):
        rows = [row for row, other in enumerate(groups) if other == group]
        expected = first[rows][:, ::-1].mean(axis=0)
        cosine = np.dot(second[rows].mean(axis=0), expected) / (
            np.linalg.norm(second[rows].mean(axis=0)) * np.linalg.norm(expected)
        )
        assert cosine > 0.5


@pytest.mark.parametrize("k", [3, 5, None])
def test_odd_k_is_refused(tmp_path, k):
    folder = checkpoint(tmp_path / "step-0", np.ones((64, 4)), k)
    with pytest.raises(InputError, match="expected an even number"):
        embeddings.read_embeddings(folder)


def test_bad_weights_are_named(tmp_path):
    short = checkpoint(tmp_path / "short", np.ones((100, 4)), 4)
    with pytest.raises(InputError, match="105 embeddings, expected 261"):
        embeddings.read_embeddings(short)
    broken = checkpoint(tmp_path / "broken", np.full((256, 4), np.nan), 4)
    with pytest.raises(InputError, match="not finite"):
        embeddings.read_embeddings(broken)
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        embeddings.read_embeddings(broken)
    (tmp_path / "broken" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="safetensors"):
        embeddings.read_embeddings(broken)


def test_steps_and_checkpoints_must_agree(tmp_path):
    settings = Embeddings(encoder="x", steps=(0, 1))
    with pytest.raises(InputError, match="expected one for each of the 2 steps"):
        embeddings.embed(["only"], "b.csv", "a.csv", settings)


def test_perplexity_must_fit():
    with pytest.raises(InputError, match="perplexity"):
        embeddings.project(unit(planted(4, 0.1)[0]), seed=0, perplexity=100)
