"""What the report says of its origin, and the numbers in its captions."""

import subprocess

import pytest
import yaml
from made.results import CONFIG, make_attention, make_history, make_run, stairs

from randommask.errors import InputError
from randommask.measures import quantities
from randommask.report import captions, provenance
from randommask.report.figures import __main__ as figures

HEADER = (
    "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
)
EXTENDED = (
    HEADER + "\tjobid\trule_name\twildcards\tparams\tthreads\tcpu_usage\tresources"
)


def values(grid):
    return {stub[0]: [cell.text for cell in cells] for stub, cells in grid.lines}


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


def test_commit(tmp_path):
    assert provenance.commit(tmp_path / "nowhere") == "unknown"
    git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    clean = provenance.commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "result").write_text("not the workflow's")
    assert provenance.commit(tmp_path) == clean
    (tmp_path / "file").write_text("2")
    assert provenance.commit(tmp_path) == f"{clean}-dirty"


def test_versions_that_differ_are_counted(tmp_path):
    for seed, torch in enumerate(("2.12", "2.13", "2.13")):
        more = {"versions": {"torch": torch}, "device": "NVIDIA H200"}
        make_run(tmp_path, "nt", "overlapping", "SSP", seed, **more)
    broken = make_run(tmp_path, "nt", "overlapping", "SSP", 3)
    broken.write_text("{")
    runs = provenance.read_runs(tmp_path)
    assert len(runs) == 3
    found = values(provenance.origin(tmp_path, runs))
    assert found["torch, fine-tuning"] == ["2.12 in 1 of 3 runs, 2.13 in 2 of 3 runs"]
    assert found["device of fine-tuning"] == ["NVIDIA H200"]
    assert "matplotlib, this page" in found


def test_checksums_of_downloads_and_data(tmp_path):
    path = tmp_path / "checksums.tsv"
    assert provenance.checksums(path, []) == []
    path.write_text(
        "source\tfile\tbytes\tsha256\tchecked\tfrom\n"
        "hg38\tchr1.fa\t9\tab\tpinned\thost\n"
    )
    runs = [
        {"dataset": "SSP", "data_sha256": {"test": digest}} for digest in ("aa", "bb")
    ]
    downloaded, data = provenance.checksums(path, runs)
    assert values(downloaded) == {"hg38": ["chr1.fa", "9", "ab", "pinned", "host"]}
    assert data.lines[0][0] == ("SSP", "test")
    assert data.lines[0][1][0].text == "aa in 1 of 2 runs, bb in 1 of 2 runs"
    path.write_text("source\tfile\nhg38\tchr1.fa\n")
    with pytest.raises(InputError, match=r"checksums\.tsv: expected the columns"):
        provenance.checksums(path, [])


def benchmark(path, seconds, memory="100", rule=None, threads=1, gpu=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f"{seconds}\t0:00:01\t{memory}\t0\t0\t0\t0\t0\t0\t0"
    if rule:
        line += f"\t1\t{rule}\t{{}}\t{{}}\t{threads}\t0\t{{'gpu': {gpu}, 'mem_mb': 1}}"
    path.write_text(f"{EXTENDED if rule else HEADER}\n{line}\n")


def test_hours_are_summed_by_rule(tmp_path):
    assert provenance.hours(tmp_path, []) is None
    benchmark(tmp_path / "pretrain/a/step-1.tsv", 3600, "500", "pretrain", 16, 8)
    benchmark(tmp_path / "pretrain/a/step-2.tsv", 1800, "NA", "pretrain", 16, 8)
    benchmark(tmp_path / "world.tsv", 36)
    found = values(provenance.hours(tmp_path, [{"device": "NVIDIA H200"}]))
    assert found["pretrain"] == ["2", "1.50", "12.00", "24.00", "500"]
    assert found["world"] == ["1", "0.01", "0.00", "0.01", "100"]
    assert found["all"] == ["3", "1.51", "12.00", "24.01", "500"]
    without = values(provenance.hours(tmp_path, [{"device": "cpu"}]))
    assert without["pretrain"] == ["2", "1.50", "0.00", "24.00", "500"]
    # Of a command that was forked Snakemake has seen only who waited for it.
    benchmark(tmp_path / "finetune/a/b/c/seed1.tsv", 36, "12", "finetune")
    keys = {"encoder": "a", "tokenization": "b", "dataset": "c", "seed": 1}
    run = {**keys, "device": "cpu", "peak_memory_bytes": 400 * 2**20}
    assert values(provenance.hours(tmp_path, [run]))["finetune"][-1] == "400"
    gpus = {**run, "device": "NVIDIA H200"}
    assert values(provenance.hours(tmp_path, [gpus]))["finetune"][-1] == "12"
    (tmp_path / "world.tsv").write_text("name\tvalue\nx\t1\n")
    with pytest.raises(InputError, match=r"world\.tsv: not a benchmark"):
        provenance.hours(tmp_path, [])


# --- Captions -----------------------------------------------------------------------


def test_captions_carry_what_was_measured(tmp_path):
    histories = {
        "baseline": make_history(tmp_path / "b", lambda step, phase: 2.0),
        "randommask": make_history(tmp_path / "r", stairs, (1, 2)),
    }
    flags = ["fig5", "--hparams", "{}", "--history"]
    flags += [f"{role}={path}" for role, path in histories.items()]
    flags += [f"--{kind}={tmp_path}/fig5.{kind}" for kind in ("png", "pdf", "csv")]
    figures.main(flags)
    (tmp_path / "fig2.csv").write_text(
        "role,step,loss,silhouette,purity,chance\n"
        "baseline,0,,0.0,0.06,0.06\nbaseline,9,1,0.5,0.91,0.06\n"
    )
    layers = make_attention(tmp_path / "a", [0.1, 0.8, 0.9, 0.2]).read_text().split()
    lines = [f"baseline,{line}" for line in layers[1:]]
    (tmp_path / "fig4.csv").write_text("\n".join([f"role,{layers[0]}", *lines]) + "\n")
    known = quantities.read(tmp_path / "tables", tmp_path)
    found = captions.measured(tmp_path, {}, known)
    assert "DNABERT 0.91 (chance 0.06, silhouette 0.50)" in found["fig2"]
    assert "DNABERT 85.0 % in the middle layers, 20.0 % in the last" in found["fig4"]
    assert "entropy 1.00 nats, distance 3.0 tokens" in found["fig4"]
    assert (
        "the mean of 3 log lines: DNABERT 2.00, DNABERT + RandomMask 2.5"
        in found["fig5"]
    )
    assert "jumps at the boundaries by +1.39." in found["fig5"]
    assert "falls within the phases by 0.39, 0.39." in found["fig5"]
    assert captions.measured(tmp_path / "nothing", {}, {}) == {}


def test_the_real_share_of_bert_mini():
    config = yaml.safe_load((CONFIG / "config.yaml").read_text())
    text = captions.small_share(config)
    assert text == (
        " BERT-mini has 4.4 of 89.2 million parameters, 4.9 %;"
        " the paper says one tenth."
    )
    del config["roles"]["mini"]
    assert captions.small_share(config) == ""
