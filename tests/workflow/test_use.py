"""The workflow as other repositories use it: imported, included, linked, deployed."""

import shutil

import pytest
import yaml
from made import ROOT, typed
from made.typed import jobs

TABLE = "results/demo/tables/table1.csv"
ENCODER, SEGMENTS = "results/encoders/randommask", 7  # the paper's
MODULE = f"""
module randommask:
    snakefile: {str(ROOT / "Snakefile")!r}
    config: config["dna"]
use rule * from randommask as dna_*
"""
OWN_RULE = """
rule count:
    input: "results/demo/tables/table1.csv"
    output: "count.txt"
    shell: "python -m own {input:q} >{output}"
"""


def snakemake(folder, *words, PYTHONPATH=""):
    """Run in a folder without the package on its path; give what was said."""
    words = ("--cores", 1, *words)
    done = typed.snakemake(*words, folder=folder, PYTHONPATH=PYTHONPATH)
    return done.stdout + done.stderr


@pytest.fixture
def demo():
    return yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())


def test_a_module_makes_a_table_beside_rules_of_ones_own(tmp_path, demo):
    """Config, rule names and PYTHONPATH of the other workflow stay its own."""
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"mine": 1, "dna": demo}))
    (tmp_path / "Snakefile").write_text(
        f'configfile: "own.yaml"\n{MODULE}{OWN_RULE}assert config["mine"] == 1\n'
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "own.py").write_text(
        "import sys; print(len(open(sys.argv[1]).readlines()))"
    )
    said = snakemake(tmp_path, "count.txt", PYTHONPATH=str(tmp_path / "lib"))
    assert jobs(said) == {"dna_table": 1, "count": 1, "total": 2}
    assert int((tmp_path / "count.txt").read_text()) == 8  # seven tasks
    said = snakemake(tmp_path, "-n", "results/demo/report.html")
    assert jobs(said)["dna_finetune"] > 100 and jobs(said)["dna_report"] == 1


def test_a_module_without_a_config_is_the_paper(tmp_path):
    (tmp_path / "own.yaml").write_text("mine: 1\n")
    module = MODULE.replace('    config: config["dna"]\n', "")
    (tmp_path / "Snakefile").write_text(f'configfile: "own.yaml"\n{module}')
    said = snakemake(tmp_path, "-n", ENCODER)
    assert jobs(said)["dna_pretrain"] == SEGMENTS


def test_the_workflow_is_included(tmp_path, demo):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(demo))
    (tmp_path / "Snakefile").write_text(
        f'configfile: "own.yaml"\ninclude: {str(ROOT / "Snakefile")!r}\n{OWN_RULE}'
    )
    said = snakemake(tmp_path, "-n", "count.txt")
    assert jobs(said) == {"table": 1, "count": 1, "total": 2}


def test_the_workflow_is_linked(tmp_path, demo):
    (tmp_path / "Snakefile").symlink_to(ROOT / "Snakefile")
    assert jobs(snakemake(tmp_path, "-n", ENCODER))["pretrain"] == SEGMENTS
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(demo))
    snakemake(tmp_path, "--configfile", "own.yaml", "--", TABLE)
    assert (tmp_path / TABLE).stat().st_size


@pytest.mark.sweep
def test_the_workflow_is_run_from_any_folder(tmp_path):
    words = ("-n", "--snakefile", ROOT / "Snakefile", ENCODER)
    assert jobs(snakemake(tmp_path, *words))["pretrain"] == SEGMENTS


@pytest.mark.sweep
def test_the_workflow_is_deployed(tmp_path):
    """As by `snakedeploy deploy-workflow`: config/, and a Snakefile with a module."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "Snakefile").write_text(
        "from snakemake.utils import min_version\n\n"
        'min_version("6.10.0")\n\n'
        'configfile: "config/config.yaml"\n\n'
        "module randommask:\n"
        f"    snakefile:\n        {str(ROOT / 'workflow' / 'Snakefile')!r}\n"
        "    config:\n        config\n\n\n"
        "use rule * from randommask\n"
    )
    found = jobs(snakemake(tmp_path, "-n"))
    assert found["total"] == 1311 and found["finetune"] == 12 * 28 * 3
    listed = tmp_path / "config" / "datasets.tsv"
    lines = listed.read_text().splitlines(keepends=True)
    listed.write_text("".join(line for line in lines if not line.startswith("EAP")))
    assert jobs(snakemake(tmp_path, "-n", "results/tables/leaks.csv"))["prepare"] == 27


def test_the_catalog_finds_what_it_looks_for():
    """Its rules for standardized usage, and that a report can be made."""
    shown = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert shown["usage"]["report"] is True
    assert shown["usage"]["software-stack-deployment"]["conda"] is True
    for path in ("workflow/Snakefile", "config/README.md", "workflow/rules"):
        assert (ROOT / path).exists()
    words = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in words and "workflow" in words
