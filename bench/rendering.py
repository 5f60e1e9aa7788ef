"""How long all tables, figures and the report take: one Markdown table.

    PYTHONPATH=workflow python bench/rendering.py [--seeds 3] [--milestones 10]

Made runs of the paper's size: every row of Tables 2 and 3 on 28 data sets with the
published number of test rows, three seeds (756 runs); 4,096 embeddings of 768 at ten
milestones, histories of 4,800 lines, maps of twelve layers. Each command runs as its
rule runs it, in a process of its own, one after the other; wall clock and the most
memory of the process (at least what this program had when it started it). `embed` is
done for one encoder on OMP_NUM_THREADS threads, and its picture drawn for both.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import save_file

from randommask import kmers
from randommask.measures.embeddings import TENSOR

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from made.results import (  # noqa: E402
    CONFIG,
    DATASETS,
    dataset_lines,
    make_predictions,
    make_purity,
    make_summary,
)

TARGET = "all of it in 5 minutes and 2,048 MB; embed in 2 minutes on 2 cores"
HIDDEN, LAYERS, TOKENS, LINES = 768, 12, 128, 4800
ROLES = ("baseline", "randommask", "nonoverlapping", "mini")


def make_runs(folder: Path, config: dict, seeds: list[int]) -> int:
    """Write runs with predictions for the cells of Tables 2 and 3; say how many."""
    rows = {
        (row["encoder"], row["tokenization"]): row
        for name in ("table3", "table2")
        for row in config["tables"][name]["rows"]
    }
    rates = {row["encoder"]: 0.5 + 0.05 * i for i, row in enumerate(rows.values())}
    for line in dataset_lines():
        make_predictions(
            folder / "finetune",
            folder / "benchmark",
            list(rows.values()),
            line["dataset"],
            seeds,
            rates,
            size=int(line["test_rows"]),
        )
        make_summary(folder / "benchmark", line["dataset"])
    return len(rows) * len(DATASETS) * len(seeds)


def make_pretraining(folder: Path, milestones: int) -> list[Path]:
    """Write checkpoints, histories, purities and attention; give the checkpoints."""
    random = np.random.default_rng(0)
    names = kmers.names(6)
    groups = np.unique([name[2:4] for name in names], return_inverse=True)[1]
    points = random.normal(size=(16, HIDDEN))
    noise = random.normal(size=(4096, HIDDEN))
    made = []
    for step in range(milestones):
        vectors = noise + points[groups] * step / milestones
        table = np.concatenate([np.zeros((kmers.NUM_SPECIAL, HIDDEN)), vectors])
        checkpoint = folder / "pretrain" / f"step-{step}"
        checkpoint.mkdir(parents=True)
        save_file({TENSOR: table.astype(np.float32)}, checkpoint / "model.safetensors")
        (checkpoint / "config.json").write_text('{"k": 6}')
        made.append(checkpoint)
    step = np.arange(1, LINES + 1) * 100
    for role in ROLES:
        phase = np.searchsorted([30000, 60000, 100000, 150000], step) + 1
        phase = phase if role == "randommask" else np.ones_like(phase)
        loss = 1 + phase + 7 * np.exp(-step / 3000) + random.normal(size=LINES) / 50
        lines = [
            f"{s},{p},{4 + 2 * p},{v},1.5,"
            for s, p, v in zip(step, phase, loss, strict=True)
        ]
        head = "step,phase,max_span,loss,bound,validation_loss"
        (folder / f"{role}.history.csv").write_text("\n".join([head, *lines]) + "\n")
        make_purity(folder / f"{role}.purity.csv", 0.5)
        maps = random.dirichlet(np.ones(TOKENS), size=(LAYERS, TOKENS))
        np.savez(folder / f"{role}.npz", map=maps.astype(np.float32))
        lines = [f"{layer},0.3,3.0,20.0" for layer in range(1, LAYERS + 1)]
        head = "layer,cls_mass,entropy,distance"
        (folder / f"{role}.attention.csv").write_text("\n".join([head, *lines]) + "\n")
    return made


def commands(
    folder: Path, config: dict, seeds: list[int], checkpoints: list[Path]
) -> Iterator[tuple[str, list]]:
    """Every command of the workflow that reads results, in an order that works."""
    experiment = {"experiment": config["experiment"]}
    tables, figures = folder / "tables", folder / "figures"
    listed = ["--datasets", CONFIG / "datasets.tsv"]

    def table(name: str, hparams: dict, *flags: object) -> tuple:
        made = [f"--{kind}={tables / name}.{kind}" for kind in ("csv", "md", "tex")]
        words = [
            "randommask.report.tables",
            name,
            f"--hparams={json.dumps(experiment | hparams)}",
        ]
        return name, [*words, *flags, *made]

    names = {"datasets": DATASETS}
    yield table("table1", names, *listed)
    for name in ("table2", "table3"):
        rows = [{"published": None} | row for row in config["tables"][name]["rows"]]
        hparams = names | {"rows": rows, "seeds": seeds}
        flags = ["--runs", folder / "finetune", *listed]
        flags += ["--published", CONFIG / "published" / f"{name}.csv"]
        flags += ["--averages", tables / "table3_averages.csv"] * (name == "table3")
        yield table(name, hparams, *flags)
    flags = ["--table3", tables / "table3.csv", "--runs", folder / "finetune"]
    hparams |= {"baseline": config["roles"]["baseline"]}
    yield table("statistics", hparams, *flags, "--benchmark", folder / "benchmark")
    chosen = {"epochs": 3, "batch_size": 32, "learning_rate": 3e-5}
    for name in ("table4", "table5"):
        hparams = {"recipe": name, "used": True, "settings": {"betas": [0.9, 0.999]}}
        hparams |= {"datasets": dict.fromkeys(DATASETS, chosen)}
        yield table(name, hparams, *listed)
    summaries = [folder / "benchmark" / name / "summary.json" for name in DATASETS]
    yield table("datasets", {}, "--summaries", *summaries)
    text = f"--hparams={json.dumps(experiment)}"
    flags = [text, "--published", CONFIG / "published", "--output", tables / "audit.md"]
    yield "audit", ["randommask.report.tables.audit", *flags]

    tsne = config["figures"]["tsne"] | {"steps": list(range(len(checkpoints)))}
    flags = ["--checkpoints", *checkpoints, f"--hparams={json.dumps(tsne)}"]
    flags += [
        "--csv",
        folder / "picture.csv",
        "--purity",
        folder / "picture.purity.csv",
    ]
    yield "embed", ["randommask.measures.embeddings", *flags]

    def by_role(ending: str, roles: tuple[str, ...]) -> list[str]:
        return [f"{role}={folder / ending.format(role)}" for role in roles]

    def figure(name: str, hparams: dict, *flags: object) -> tuple[str, list]:
        made = [f"--{kind}={figures / name}.{kind}" for kind in ("png", "pdf", "csv")]
        text = f"--hparams={json.dumps(experiment | hparams)}"
        return name, ["randommask.report.figures", name, text, *flags, *made]

    sequence = {
        "sequence": "ATGACGTTCAGGCTAACGTACTGA",
        "k": 6,
        "max_span": 14,
        "seed": 1,
    }
    yield figure("fig1", sequence)
    spaces, maps = (ROLES[0], ROLES[2]), ROLES[:3]
    history = ["--history", *by_role("{}.history.csv", ROLES)]
    flags = ["--embeddings", *by_role("picture.csv", spaces)]
    flags += ["--purity", *by_role("picture.purity.csv", spaces)]
    yield figure("fig2", {}, *flags, *history)
    flags = ["--embeddings", *by_role("picture.csv", spaces[:1])]
    yield figure(
        "fig3", {}, *flags, "--purity", *by_role("picture.purity.csv", spaces[:1])
    )
    flags = ["--attention", *by_role("{}.npz", maps)]
    yield figure("fig4", {}, *flags, "--summary", *by_role("{}.attention.csv", maps))
    yield figure("fig5", {}, *history)
    flags = ["--table", tables / "table3.csv"]
    yield figure("ranks", {"roles": config["roles"]}, *flags)
    text = f"--hparams={json.dumps(experiment | {'k': 6})}"
    flags = ["--table2", tables / "table2.csv", *history, text]
    flags += ["--purity", *by_role("{}.purity.csv", spaces)]
    flags += ["--attention", *by_role("{}.attention.csv", maps)]
    flags += [f"--{kind}={tables}/observations.{kind}" for kind in ("csv", "md")]
    yield "observations", ["randommask.report.tables.observations", *flags]
    text = f"--hparams={json.dumps(experiment | {'config': config})}"
    flags = [text, "--tables", tables, "--figures", figures, "--repository", ROOT]
    flags += ["--runs", folder / "finetune", "--benchmarks", folder / "none"]
    flags += ["--checksums", folder / "none.tsv", "--output", folder / "report.html"]
    yield "report", ["randommask.report", *flags]


def measure(words: list) -> tuple[float, float, float]:
    """Run a module; wall clock and processor time in s, most memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *map(str, words)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{words[:2]} failed")
    spent = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - start, spent, usage.ru_maxrss / 1024


def main() -> None:
    """Make the runs in a folder that goes, render all of it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--milestones", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="a folder to leave it all in")
    flags = parser.parse_args()
    config = yaml.safe_load((CONFIG / "config.yaml").read_text())
    seeds = list(range(1, flags.seeds + 1))
    with tempfile.TemporaryDirectory() as made:
        folder = flags.keep or Path(made)
        runs = make_runs(folder, config, seeds)
        checkpoints = make_pretraining(folder, flags.milestones)
        found = {
            name: measure(words)
            for name, words in commands(folder, config, seeds, checkpoints)
        }
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    print(f"| {runs} runs, {threads} threads | s | processor s | MB |")
    print("|---|---:|---:|---:|")
    for name, (wall, spent, memory) in found.items():
        print(f"| {name} | {wall:.1f} | {spent:.1f} | {memory:.0f} |")
    total = [sum(own[i] for own in found.values()) for i in (0, 1)]
    most = max(memory for _, _, memory in found.values())
    print(f"| all; expected: {TARGET} | {total[0]:.1f} | {total[1]:.1f} | {most:.0f} |")


if __name__ == "__main__":
    main()
