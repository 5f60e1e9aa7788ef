"""The installed package: what its wheel holds, and its commands away from any clone."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from made import ROOT
from made.dataset import hparams, made, planted, tiny_encoder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import randommask
from randommask.finetuning.__main__ import finetune
from randommask.predict import predict

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEEDED, DEVELOPMENT = (
    {canonicalize_name(one.name): one for one in map(Requirement, listed)}
    for listed in (
        PROJECT["project"]["dependencies"],
        PROJECT["dependency-groups"]["dev"],
    )
)
LOCK = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
    )
    if version
}
OPTIONAL = {"wandb"}
NOT_IMPORTED = {
    "accelerate": "peft and transformers want it",
    "snakemake": "plan starts it",
    "snakemake-executor-plugin-slurm": "the profile slurm names it",
}


@pytest.mark.parametrize("name", [*NEEDED, *DEVELOPMENT])
def test_the_lock_is_one_answer_to_the_dependencies(name):
    wanted = (NEEDED | DEVELOPMENT)[name]
    assert LOCK[name] in wanted.specifier


def test_every_import_is_a_dependency_and_the_other_way_round():
    known = packages_distributions()
    found = set()
    for path in (ROOT / "workflow").rglob("*.py"):
        words = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.M)
        found |= {word for word in words if word in known}
    names = {canonicalize_name(known[word][0]) for word in found - OPTIONAL}
    assert names - {"randommask"} == NEEDED.keys() - NOT_IMPORTED.keys()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the clone."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    package = folder / "workflow" / "randommask"
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "workflow" / "randommask", package, ignore=leave)
    words = ["wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--wheel-dir", "out", "."],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    [made] = (folder / "out").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A venv with the wheel, where all other packages are those of the tests."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    [packages] = folder.glob("lib/*/site-packages")
    (packages / "others.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")
    words = ["install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "bin" / "randommask"


def typed(command, *words, cwd, **variables):
    """What a command away from the clone answers."""
    hidden = ("PYTHONPATH", "RANDOMMASK_FORKING")
    clean = {key: value for key, value in os.environ.items() if key not in hidden}
    return subprocess.run(
        [command, *map(str, words)],
        cwd=cwd,
        env=clean | variables,
        capture_output=True,
        text=True,
    )


def test_the_wheel_holds_the_package_and_what_it_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = {
        f"randommask/{path.relative_to(ROOT / 'workflow' / 'randommask').as_posix()}"
        for path in (ROOT / "workflow" / "randommask").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    others = {name for name in names if ".dist-info/" not in name}
    assert others == tracked
    about = next(name for name in names if name.endswith("METADATA"))
    text = zipfile.ZipFile(wheel).read(about).decode()
    assert f"Version: {randommask.__version__}\n" in text
    assert text.count("Requires-Dist:") == len(NEEDED)


def test_help_names_the_commands_without_importing_torch(installed, tmp_path):
    done = typed(installed, "--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "| randommask" in done.stderr and "torch" not in done.stderr
    named = re.findall(r"^  (\w+) ", done.stdout, re.M)
    assert named == ["predict", "embed", "compare", "plan", "doctor"]
    done = typed(installed, "--version", cwd=tmp_path)
    assert done.stdout == f"randommask {randommask.__version__}\n"
    done = typed(installed, "predcit", cwd=tmp_path)
    assert done.returncode == 1 and "did you mean 'predict'?" in done.stderr


def test_predict_answers_as_in_the_clone(installed, tmp_path):
    data = made(tmp_path / "data", rows=(32, 16, 16))
    model = tmp_path / "model"
    encoder = tiny_encoder(tmp_path / "encoder")
    finetune(encoder, data, hparams(epochs=1), model_path=model)
    rows = "\n".join(planted(3, 8, 2)[0])
    (tmp_path / "my.csv").write_text(f"sequence\n{rows}\n")
    predict(model, tmp_path / "here.tsv", table=tmp_path / "my.csv")
    flags = ("--model", model, "--csv", "my.csv", "--output", "there.tsv")
    done = typed(installed, "predict", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = (tmp_path / "there.tsv").read_text()
    assert found == (tmp_path / "here.tsv").read_text() and found.count("\tok\n") == 8


def test_commands_of_a_workflow_want_a_clone(installed, tmp_path):
    for name in ("plan", "doctor"):
        done = typed(installed, name, cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert f"{name}: no workflow in {tmp_path}, expected a clone" in done.stderr
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    (tmp_path / "Snakefile").symlink_to(ROOT / "Snakefile")
    flags = (
        "results/demo/tables/audit.md",
        "--configfile",
        ROOT / "config" / "demo.yaml",
    )
    done = typed(installed, "plan", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "other rules" in done.stdout and "disk" in done.stdout
