"""No command writes where something else lies: it says so before it reads anything."""

import ast
import importlib
import json
import os

import numpy as np
import pytest
import yaml
from made import ROOT
from made.dataset import HPARAMS
from made.genome import segment

from randommask import files, predict
from randommask.data import leaks, shards
from randommask.errors import InputError
from randommask.experiment.flags import flag

FILE, FOLDER = "a file", "a folder"
PAGE = {"csv": FILE, "md": FILE, "tex": FILE}
TABLES = ("table1", "table2", "statistics", "table4", "table5", "datasets", "leaks")
FIGURES = ("fig1", "fig2", "fig3", "fig4", "fig5", "datasets", "ranks")
RUN = {"metrics": FILE, "predictions": FILE, "history": FILE}
COMMANDS = {
    "predict.__main__": {"output": FILE, "picture": FILE},
    "embed": {"output": FILE},
    "compare": {"csv": FILE},
    "data.download": {"output": FOLDER},
    "data.leaks": {"output": FILE},
    "data.pmi": {"output": FILE},
    "data.prepare": {"output": FOLDER},
    "data.shards": {"output": FOLDER},
    "data.world": dict.fromkeys(("genome", "gue", "deepstarr"), FOLDER),
    "encoders.folder": {"output": FOLDER},
    "encoders.released": {"output": FOLDER},
    "encoders.untrained": {"output": FOLDER},
    "finetuning.__main__": {**RUN, "model": FOLDER},
    "finetuning.kmer_linear": RUN,
    "finetuning.no_model": RUN,
    "finetuning.probe": RUN,
    "measures.attention": {"npz": FILE, "csv": FILE},
    "measures.embeddings": {"csv": FILE, "purity": FILE},
    "pretraining.__main__": {"output": FOLDER},
    "report.__main__": {"output": FILE},
    "report.ablations.__main__": {**PAGE, "png": FILE, "pdf": FILE},
    "report.release.__main__": {"output": FOLDER},
    "report.release.crate": dict.fromkeys(("output", "config", "scores", "card"), FILE),
    "report.tables.audit": {"output": FILE},
    "report.tables.observations": {"csv": FILE, "md": FILE},
    "report.tables.__main__ table3": {**PAGE, "averages": FILE},
    **{f"report.tables.__main__ {name}": PAGE for name in TABLES},
    **{f"report.figures.__main__ {name}": {"png": FILE, "pdf": FILE, "csv": FILE}
       for name in FIGURES},
}  # fmt: skip
"""Of each command the flags that name what it writes."""
QUIET = (
    *("training.gpu", "doctor.__main__", "plan.__main__", "experiment.readme"),
    *("plan.clean", "experiment.finished", "forking.client", "forking.server"),
    *("genome", "__main__"),
)
"""They print, write a page of the repository, or stand for another command."""
DATASETS = ROOT / "config" / "datasets.tsv"
WORLD = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())["synthetic"]
TUNING = f"--hparams={json.dumps(HPARAMS)}"
LATE = {
    "predict.__main__": ["--model=absent", "--fasta=absent", "--mutate"],
    "data.download": ["--name=x", '--hparams={"path": "x"}', "--checksums=sums"],
    "data.shards": ["--source=x", '--hparams={"genome": "g", "chromosomes": null}'],
    "data.world": ["--datasets", DATASETS, "--hparams", json.dumps(WORLD)],
    "encoders.released": ["--source=x", '--hparams={"family": "bert"}'],
    "finetuning.__main__": ["--encoder=x", "--data=x", TUNING],
    "pretraining.__main__": ["--corpus=x", f"--hparams={flag(segment(), '')}"],
}
"""What those want first that do not look at an output where they read its flag."""
CASES = [
    (command, output, kind)
    for command, outputs in COMMANDS.items()
    for output, kind in outputs.items()
]


def test_the_list_has_every_command():
    root = files.WORKFLOW / "randommask"
    found = set()
    for path in root.rglob("*.py"):
        if any(
            isinstance(node, ast.If) and ast.unparse(node.test).startswith("__name__")
            for node in ast.parse(path.read_text()).body
        ):
            found.add(".".join(path.relative_to(root).with_suffix("").parts))
    listed = {command.split()[0] for command in COMMANDS} | {*QUIET}
    # What is published with an encoder runs without the package.
    assert found - {"report.release.reproduce"} == listed


@pytest.mark.parametrize(("command", "output", "kind"), CASES)
def test_an_output_where_something_else_lies_is_refused(
    tmp_path, monkeypatch, command, output, kind
):
    name, *sub = command.split()
    module = importlib.import_module(f"randommask.{name}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    wrong = {"theirs"} if kind is FILE else {"theirs", "file"}
    for path in (*wrong, "file/below/out"):
        words = [*sub, f"--{output}", path]
        for other, also in COMMANDS[command].items():
            if other != output:
                words += [f"--{other}", f"new-{other}.{also.split()[-1]}"]
        words += [*LATE.get(name, [])]
        with pytest.raises(InputError) as error:
            module.main([*map(str, words)])
        said = str(error.value)
        assert said.startswith(("theirs: ", "file: ")) and "expected" in said
        assert "\n" not in said
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "theirs" / "notes.txt").read_text() == "precious"


def test_shards_of_a_killed_try_are_replaced_and_arrays_of_others_are_not(tmp_path):
    """Snakemake deletes the manifest, the one output that the rule names."""
    (tmp_path / "a.fa").write_text(">a\nACGT\n>b\nACGT\n")
    corpus = tmp_path / "corpus"
    for _ in range(2):
        shards.tokenize(tmp_path / "a.fa", corpus, "g", None)
        (corpus / "manifest.json").unlink()
    np.save(corpus / "embeddings.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match=r"holds embeddings\.npy"):
        shards.tokenize(tmp_path / "a.fa", corpus, "g", None)
    (corpus / "embeddings.npy").unlink()
    (corpus / "manifest.json").write_text("theirs")
    with pytest.raises(InputError, match=r"holds manifest\.json"):
        shards.tokenize(tmp_path / "a.fa", corpus, "g", None)
    assert (corpus / "manifest.json").read_text() == "theirs"


def test_what_is_read_is_not_written_to(tmp_path):
    (tmp_path / "in.fa").write_text(">a\nACGT\n")
    os.link(tmp_path / "in.fa", tmp_path / "same.fa")
    for name in ("in.fa", "same.fa", "../" + tmp_path.name + "/in.fa"):
        with pytest.raises(InputError, match="is read too, expected another file"):
            predict.predict("absent", tmp_path / name, fasta=tmp_path / "in.fa")
    with pytest.raises(InputError, match="is read too"):
        predict.predict(tmp_path, tmp_path / "same.fa", fasta="absent")
    (tmp_path / "train.parquet").write_text("precious")
    words = ["--data", tmp_path, "--output", tmp_path / "train.parquet"]
    with pytest.raises(InputError, match="is read too"):
        leaks.main([*map(str, words)])
