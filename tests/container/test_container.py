"""The container recipes, built where something can build them: `make test-container`.

Apart from the other tests, for a build fetches all of requirements.lock.
"""

import shutil
import subprocess

import pytest
from made import ROOT

CHECK = "import torch, transformers, snakemake; print(torch.__version__)"
RECIPES = {
    "docker": ("envs/Dockerfile", ["docker", "info"]),
    "buildah": ("envs/Dockerfile", ["buildah", "info"]),
    "apptainer": ("envs/container.def", ["apptainer", "version"]),
}
BUILD_SECONDS = 3600


def builder(name):
    """Skip, and say why, where this builder is not there or cannot work."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    asked = subprocess.run(RECIPES[name][1], capture_output=True, text=True)
    if asked.returncode:
        said = (asked.stderr.strip() or asked.stdout.strip()).splitlines()[-1:]
        pytest.skip(f"{name} cannot build here: {''.join(said)}")


def run(*words):
    done = subprocess.run(
        [*map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def locked(package):
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return next(x for x in lines if x.startswith(f"{package}==")).partition("==")[2]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_and_holds_the_lock(name, tmp_path):
    builder(name)
    recipe = RECIPES[name][0]
    if name == "apptainer":
        image = tmp_path / "randommask.sif"
        run("apptainer", "build", image, recipe)
        said = run("apptainer", "exec", image, "python", "-c", CHECK)
    elif name == "docker":
        run("docker", "build", "--file", recipe, "--tag", "randommask-test", ".")
        said = run("docker", "run", "--rm", "randommask-test", "python", "-c", CHECK)
    else:
        run("buildah", "bud", "--file", recipe, "--tag", "randommask-test", ".")
        container = run("buildah", "from", "randommask-test")
        said = run("buildah", "run", container, "--", "python", "-c", CHECK)
    assert said.splitlines()[-1].partition("+")[0] == locked("torch")
