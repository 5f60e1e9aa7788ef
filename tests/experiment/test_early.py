"""What a command would refuse in the end is refused when the config is read.

`TWINS` lists every place in the commands whose `InputError` a config can cause, with a
config that causes it and the line that stops it early. `ELSEWHERE` says of all other
places why no config can. A new `raise InputError` belongs into one of the two.
"""

import ast
import os
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from made import ROOT
from made.typed import snakemake

from randommask.errors import InputError
from randommask.experiment import encoders, file, places
from randommask.experiment.check import check

PACKAGE = ROOT / "workflow" / "randommask"
ADAPTERS = {"rank": 8, "alpha": 16, "dropout": 0.05}

# place in the commands: key of the paper's config, a wrong value, the early line
TWINS = {
    ("data/download.py", "link"): (
        "sources.hg38",
        {"path": "no/such.fa"},
        "sources.hg38.path: no/such.fa: no such file or folder",
    ),
    ("data/shards.py", "_write_shard"): (
        "genomes.hg38.chromosomes",
        ["../chr1"],
        "expected a FASTA record's name",
    ),
    ("data/windows.py", "__init__"): (
        "pretrain.held_out",
        ["chr23"],
        "held_out: no chromosome 'chr23'",
    ),
    ("encoders/released.py", "_module"): (
        "encoders.nt.released.family",
        "gpt",
        "no family 'gpt', expected one of bert, esm, hf, hyena, modern",
    ),
    ("finetuning/heads.py", "build"): (
        "finetune.lora",
        ADAPTERS,
        "has no layers for adapters",
    ),
    ("finetuning/tokens.py", "tokenize"): (
        "tables.table3.rows.2.tokenization",
        "overlapping",
        "does not fit encoder hyenadna, expected character",
    ),
    ("finetuning/tokens.py", "_tokens"): (
        "architectures.base.positions",
        400,
        "positions",
    ),
    ("measures/attention.py", "attend"): (
        "figures.attention.tokens",
        513,
        "found 513, expected at most the 512 positions of dnabert",
    ),
    ("measures/embeddings.py", "read_embeddings"): (
        "encoders.nonoverlapping.k",
        2,
        "k 2, expected an even number from 4 on",
    ),
    ("measures/embeddings.py", "project"): (
        "figures.tsne.perplexity",
        1366,
        "less than a third of the 4096 k-mers of dnabert",
    ),
    ("measures/records.py", "write_csv"): (
        "tables.table3.datasets",
        [],
        "datasets: found [], expected a list of at least 1",
    ),
    ("measures/scores.py", "_printed_row"): (
        "tables.table3.rows.3.published",
        "DNABERT3",
        "no published row 'DNABERT3'",
    ),
    ("measures/scores.py", "table2"): (
        "tables.table2.rows.2.published",
        "HyenaDNA",
        "no published row 'HyenaDNA'",
    ),
    ("measures/statistics.py", "find_baseline"): (
        "roles.baseline",
        "nonoverlapping",
        "no row of nonoverlapping, which is roles.baseline",
    ),
    ("report/figures/tokens.py", "draw"): (
        "roles.randommask",
        "dnabert",
        "ends with max_span 6, expected more than pretrain.k 6",
    ),
}
# What a module, or a place in it, is about where no config makes it fail.
ELSEWHERE = {
    "__main__.py": "where an installed command was started",
    "compare.py": "folders of finished runs",
    "data/archive.py": "what an archive holds, and the disk",
    "data/checksums.py": "the ledger of checksums",
    "data/download.py": "the network, the flags, what a local copy holds",
    "data/fetched.py": "files that were edited after their download",
    "data/leaks.py": "files that jobs have made",
    "data/manifest.py": "what a corpus holds, and whether it is whole",
    "data/pmi.py": "what a corpus holds; files that jobs have made",
    "data/prepare.py": "the rows of a data set",
    "data/shards.py": "the records of a FASTA file",
    "data/records.py": "the rows of a table of one's own",
    "data/prepared.py": "the files of a prepared data set",
    "data/splits.py": "the files of a data set",
    "finetuning/__main__.py": "a loss that is not finite",
    "reading.py": "whatever file of sequences is read",
    "data/transfer.py": "the network",
    "data/windows.py": "how long the sequences are; a damaged shard",
    "data/world.py": "a list for the made world, told by its first job",
    "doctor/cluster.py": "the profile, which Snakemake reads",
    "doctor/start.py": "the machine, and the cluster's nodes",
    "doctor/genomes.py": "the letters of a FASTA file",
    "embed.py": "the flags and one's own sequences",
    "encoders": "the files of an encoder",
    "errors.py": "what its callers look up",
    "files.py": "the flags and the file system",
    "finetuning/examples.py": "a data set that was prepared for another run",
    "finetuning/purpose.py": "the files of a fine-tuned model",
    "genome.py": "the letters of a FASTA file",
    "measures": "files that jobs have made",
    "plan": "the flags, and what Snakemake says",
    "predict": "the flags and one's own sequences",
    "pretraining/__main__.py": "the processes that were started",
    "pretraining/monitor.py": "the environment",
    "pretraining/origin.py": "the files of an encoder; the flags",
    "pretraining/segment.py": "the state that a segment goes on from",
    "pretraining/trainer.py": "the processes, and what training comes to",
    "report/ablations": "runs that there are; a group without data sets is no plan",
    "report/figures": "files that jobs have made; the roles in the flags",
    "report/provenance.py": "files that jobs have made",
    "report/release": "files that jobs have made",
    "report/tables": "files that jobs have made; what the rules say",
    "training": "the machine, and the state of a training",
}


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.chdir(ROOT)
    return file.whole(file.read("config/config.yaml"))


def put(config, key, value):
    *parts, last = (int(part) if part.isdigit() else part for part in key.split("."))
    for part in parts:
        config = config[part]
    config[last] = value


def raising():
    """(module, function) of every `raise InputError` of the commands."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if module.startswith("experiment/"):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                match node:
                    case ast.Raise(ast.Call(ast.Name("InputError"))):
                        found.add((module, function.name))
    return found


def test_every_error_of_a_command_has_its_early_twin_or_a_reason():
    for module, function in raising() - TWINS.keys():
        above = [module, *map(str, Path(module).parents)]
        assert ELSEWHERE.keys() & set(above), f"{module}: {function}"


def test_no_twin_of_an_error_that_is_gone():
    assert TWINS.keys() <= raising()
    for module in ELSEWHERE:
        assert (PACKAGE / module).exists(), module


@pytest.mark.parametrize("place", TWINS, ids=" ".join)
def test_the_twin_is_one_line_before_anything_is_planned(paper, place):
    key, value, line = TWINS[place]
    put(paper, key, value)
    with pytest.raises(InputError) as error:
        places.check(check(paper))
    assert line in str(error.value) and "\n" not in str(error.value)


def test_families_are_read_as_they_are():
    for name in encoders.FAMILIES:
        module = import_module(f"randommask.encoders.families.{name}")
        assert encoders.tokenizations(name) == module.TOKENIZATIONS
        assert encoders.takes_adapters(name) == hasattr(module, "LORA_TARGETS")


@pytest.mark.parametrize("k", [4, 6])
def test_figure_1_can_be_drawn_of_every_span_that_it_is_told(paper, k):
    """The seed that it draws with suits each length: no config makes it fail."""
    from randommask.experiment import pages
    from randommask.report.figures import tokens

    for longest in range(k + 1, 30):
        paper["pretrain"]["k"] = k
        paper["curricula"]["randommask"][-1]["max_span"] = longest
        told = pages.figure_hparams(check_spans(paper), "fig1")
        tokens.mask(told["sequence"], "overlapping", k, k + 1, told["max_span"], 1)


def check_spans(config):
    """An experiment of which only the sizes of Figure 1 count."""
    from randommask.experiment import form
    from randommask.experiment.sections import Experiment

    return form.read(Experiment, config)


# --- Where results may lie ------------------------------------------------------------


def refused(paper, place, line):
    paper["pathvars"]["results"] = str(place)
    with pytest.raises(InputError, match=line) as error:
        places.check(check(paper))
    assert "pathvars.results" in str(error.value)


def test_places_that_cannot_work(paper, tmp_path):
    (tmp_path / "file").write_text("")
    refused(paper, tmp_path / "file", "is a file, expected a folder")
    refused(paper, tmp_path / "file" / "below", "is a file, expected a folder")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(paper, tmp_path / "link", "is a link to nothing")
    refused(paper, "workflow/results", "is inside the workflow's own")
    refused(paper, ROOT / "workflow/randommask", "is inside the workflow's own")
    refused(paper, "../results", r"a folder without '\.\.' in its path")
    refused(paper, "/", "expected a folder")
    refused(paper, ROOT, "expected a folder of its own")


def test_a_place_that_may_not_be_written_is_refused(paper, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, how: path != tmp_path)
    refused(paper, tmp_path / "results", "cannot be made in .*: permission denied")
    refused(paper, tmp_path, "cannot be written to: permission denied")


def test_places_that_work(paper, tmp_path):
    for place in (tmp_path / "a place", tmp_path / "it's/mine", "results/other"):
        paper["pathvars"]["results"] = str(place)
        places.check(check(paper))


# --- Nine wrong configs ---------------------------------------------------------------

NINE = {
    "tables.table2.rows.0": {"label": "NT", "encoder": "nt"},
    "tables.table3.rows.1.label": "NT",
    "tables.table3.rows.3.published": "DNABERT3",
    "tables.table3.rows.0.at": 3,
    "tables.table3.datasets": [],
    "figures.tsne.perplexity": 2000,
    "figures.attention.tokens": 1024,
    "pretrain.held_out": ["chrMT"],
    "encoders.hyenadna.released.family": "bert",
}
TYPED = ("figures.tsne.perplexity", "tables.table3.datasets")


def said(config, path):
    """What `snakemake -n` says to it."""
    path.write_text(yaml.safe_dump(config))
    done = snakemake("-n", "all", "--nolock", "--configfile", path, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.parametrize("key", NINE)
def test_nine_wrong_configs_are_one_line_each(paper, key, tmp_path):
    put(paper, key, NINE[key])
    with pytest.raises(InputError) as error:
        check(paper)
    line = str(error.value)
    assert "\n" not in line and len(line) < 250
    if key in TYPED:
        lines = said(paper, tmp_path / "mine.yaml").splitlines()
        assert line in lines and len(lines) < 6
