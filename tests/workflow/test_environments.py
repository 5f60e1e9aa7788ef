"""Environments: the lock's versions everywhere, and all that commands import."""

import ast
import re
import sys
from importlib.metadata import distributions, packages_distributions

import pytest
import yaml
from made import ROOT
from made.typed import SNAKEMAKE, snakemake
from packaging.specifiers import SpecifierSet

PACKAGE = ROOT / "workflow" / "randommask"
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
OPTIONAL = {"wandb"}  # asked for by an environment variable
# what a package needs of another that it imports itself only for some work
BEHIND = {"peft": {"transformers", "accelerate"}}


def name_of(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()


def pins(lines):
    found = (line.split("==") for line in lines if "==" in line)
    return {name_of(name.strip()): version.strip() for name, version in found}


LOCK = pins(
    line
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if not line.startswith("#")
)


def listed(path):
    *conda, pip = yaml.safe_load(path.read_text())["dependencies"]
    return conda, pins(pip["pip"])


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_versions_are_the_locks(path):
    conda, found = listed(path)
    assert conda == ["python=3.12", "pip"]
    assert found and found.items() <= LOCK.items()


def test_the_lock_installs_in_the_oldest_python_that_is_promised():
    """Debian 12 has Python 3.11.2; a pin that wants 3.11.5 ends make setup there."""
    wanted = {
        name_of(found.name): found.metadata["Requires-Python"] or ""
        for found in distributions()
    }
    assert wanted.keys() >= LOCK.keys()
    later = {
        name: wanted[name]
        for name in LOCK
        if "3.11.2" not in SpecifierSet(wanted[name])
    }
    assert not later


def test_recipes_install_the_lock():
    texts = [
        (ROOT / "envs" / name).read_text() for name in ("container.def", "Dockerfile")
    ]
    for text in texts:
        assert re.search(r"^from:? python:3\.12-slim$", text, re.M | re.I)
        assert re.search(r"requirements\.lock /requirements\.lock$", text, re.M)
        assert "--requirement /requirements.lock" in text
        assert "Not built or run" in text


# --- What each rule's command imports -------------------------------------------------


def module_file(name):
    path = PACKAGE.joinpath(*name.split(".")[1:])
    inits = [path / "__init__.py", path / "__main__.py"]
    return [file for file in [path.with_suffix(".py"), *inits] if file.is_file()]


def imports(file):
    """Full names of all modules that a file names in its imports, wherever they are."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def third_party(module):
    """Distributions that a command needs, its own modules followed."""
    seen, todo, found = set(), [module], set()
    while todo:
        for file in module_file(todo.pop()):
            if file in seen:
                continue
            seen.add(file)
            for name in imports(file):
                top = name.split(".")[0]
                if top == "randommask":
                    todo += [name]
                elif top not in sys.stdlib_module_names and top not in OPTIONAL:
                    found.add(top)
    known = packages_distributions()
    return {name_of(known[top][0]) for top in found}


def commands():
    """(environment, module) of each rule that runs one."""
    pairs = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^ *rule ", path.read_text(), flags=re.M)[1:]:
            modules = re.findall(r"(?:-m|launcher\}|launch\}) (randommask[\w.]*)", rule)
            environment = re.search(r'"\.\./\.\./envs/(\w+)\.yaml"', rule)
            pairs |= {(environment[1], module) for module in modules if environment}
    return sorted(pairs)


def test_all_commands_are_found():
    modules = {module for _, module in commands()}
    expected = {"pretraining", "finetuning", "data.prepare", "report.tables", "report"}
    assert {f"randommask.{name}" for name in expected} <= modules


@pytest.mark.sweep
@pytest.mark.parametrize("environment, module", commands())
def test_an_environment_has_what_its_commands_import(environment, module):
    _, found = listed(ROOT / "envs" / f"{environment}.yaml")
    needed = third_party(module)
    for name in set(needed):
        needed |= BEHIND.get(name, set())
    assert needed - found.keys() == set()


def test_a_rule_runs_in_the_container_where_asked(tmp_path):
    """A stand-in for apptainer notes the image and runs the command itself."""
    for name in ("workflow", "config", "profiles", "envs", "Snakefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    image = tmp_path / "container"
    fake = tmp_path / "bin" / "apptainer"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && { echo apptainer version 1.3.0; exit; }\n'
        f'while [ "$1" != bash ]; do echo "$1" >> "{image}"; shift; done\n'
        'exec "$@"\n'
    )
    fake.chmod(0o755)
    words = ["--sdm", "apptainer", "--", "results/tables/table1.csv"]
    path = f"{fake.parent}:{SNAKEMAKE.parent}:/usr/bin:/bin"
    snakemake(*words, folder=tmp_path, PATH=path, HOME=str(tmp_path), PYTHONPATH="")
    assert "envs/randommask.sif" in image.read_text()
    assert (tmp_path / "results" / "tables" / "table1.csv").stat().st_size
