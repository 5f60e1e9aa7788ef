"""Fine-tuning on one GPU, against transformers' Trainer: one Markdown table.

    PYTHONPATH=workflow python bench/gpu_finetuning.py [--budget 420] [--lengths 300]

The base encoder with random weights, made rows of one length, batches of 32, dropout
0.1. Steps a second, evaluations left out on both sides. transformers is run as
DNABERT-2 runs it (its Trainer, every row padded to the longest); ours as
`randommask.finetuning` runs long jobs: deterministic kernels where there are some, a
compiled step that is replayed as a CUDA graph. Every measurement is a process of its
own, and the last columns have several at once on the one GPU, all their steps together.

Rows are printed as they come, until `--budget` seconds are over. `--tiny` rehearses on
any machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from gpu_pretraining import CUDA, memory, wait

from randommask import genome, kmers
from randommask.encoders import bert
from randommask.experiment.hparams import Finetuning
from randommask.files import sha256
from randommask.finetuning import examples
from randommask.finetuning.__main__ import _make_deterministic
from randommask.finetuning.tokens import tokenize
from randommask.finetuning.tuning import COMPILER, Tuning

K, BATCH, ROWS, STEPS = 6, 32, 2048, 100_000
SECONDS, STRETCH = 8.0, 25  # timed; steps between two looks at the clock
LENGTHS, MANY = (300, 101, 500), (2, 4)  # bases; processes at once
BASE = (12, 768, 12, 3072, 512)
TINY = (2, 16, 2, 32, 512)
HEADER = (
    "bases, precision",
    "transformers (steps/s)",
    "ours (steps/s)",
    "ours / transformers",
    "GiB, transformers",
    "GiB, ours",
    "ours, to the first step (s)",
    *(f"ours, {many} at once (steps/s)" for many in MANY),
)


def write_inputs(folder: Path, bases: int, tiny: bool) -> None:
    """An encoder and a data set of two classes that say nothing."""
    folder.mkdir()
    sizes = bert.EncoderConfig(*(TINY if tiny else BASE), K, "overlapping", 0.1)
    model = bert.Encoder(sizes)
    model.initialise(torch.Generator().manual_seed(0))
    bert.save(model, folder / "encoder")
    data = folder / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for name, rows in (("train", ROWS), ("dev", 2), ("test", 2)):
        made = [genome.decode(row) for row in rng.integers(0, 4, (rows, bases))]
        table = pa.table({"sequence": made, "label": np.arange(rows) % 2})
        pq.write_table(table, data / f"{name}.parquet")
    summary = {"dataset": "made", "type": "classification", "classes": 2, "targets": []}
    sums = {path.stem: {"sha256": sha256(path)} for path in data.glob("*.parquet")}
    (data / "summary.json").write_text(json.dumps(summary | {"splits": sums}))


def report_in(first: float) -> None:
    """Say that the warm-up is over; wait until the others have said so."""
    wait()
    print(json.dumps({"first": first}), flush=True)
    sys.stdin.readline()


def told(precision: str) -> Finetuning:
    """What both are told of the run."""
    return Finetuning(
        encoder="made",
        tokenization="overlapping",
        dataset="made",
        task="EMP",
        metric="mcc",
        seed=0,
        epochs=1,
        max_steps=STEPS,
        batch_size=BATCH,
        learning_rate=3e-5,
        warmup_steps=50,
        weight_decay=0.01,
        betas=(0.9, 0.999),
        eps=1e-8,
        clip=1.0,
        dropout=0.1,
        precision=precision,
    )


def ours(folder: Path, precision: str, seconds: float, stretch: int) -> float:
    """Steps a second."""
    start = time.perf_counter()
    if CUDA:
        _make_deterministic()
    data = examples.read(folder / "data", told(precision))
    compiler = COMPILER if CUDA else {"backend": "eager", "dynamic": False}
    run = Tuning(folder / "encoder", data, told(precision), compiler)
    run.step(0)
    wait()
    first = time.perf_counter() - start
    for step in range(1, stretch):
        run.step(step)
    if not run.has_compiled:
        raise RuntimeError("the compiler failed: not what is to be measured")
    report_in(first)
    start, taken = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(stretch):
            run.step(stretch + taken)
            taken += 1
        wait()
    return taken / (time.perf_counter() - start)


def peer(folder: Path, precision: str, seconds: float, stretch: int) -> float:
    """The same with transformers' Trainer."""
    from transformers import (
        BertForSequenceClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
    from transformers.trainer_callback import PrinterCallback
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    start = time.perf_counter()
    data = examples.read(folder / "data", told("fp32"))
    split = data.splits["train"]
    tokens = tokenize(data, folder / "encoder", "overlapping")["train"]
    ids = torch.from_numpy(tokens.ids_NT.astype(np.int64))
    rows = [
        {"input_ids": row, "attention_mask": row != kmers.PAD, "labels": label}
        for row, label in zip(ids, split.labels.tolist(), strict=True)
    ]
    looks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, _: object, state: object, control: object, **__: object):
            """Look at the clock after every stretch; the first is the warm-up."""
            if state.global_step % stretch == 0:
                if not looks:
                    report_in(time.perf_counter() - start)
                wait()
                looks.append(time.perf_counter())
                control.should_training_stop = looks[-1] - looks[0] > seconds

    trainer = Trainer(
        model=BertForSequenceClassification.from_pretrained(
            folder / "encoder", num_labels=2
        ),
        args=TrainingArguments(
            output_dir=str(folder / "out"),
            max_steps=STEPS,
            per_device_train_batch_size=BATCH,
            learning_rate=3e-5,
            warmup_steps=50,
            weight_decay=0.01,
            bf16=precision == "bf16",
            save_strategy="no",
            logging_steps=STEPS,
            use_cpu=not CUDA,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=rows,
        callbacks=[Clock()],
    )
    trainer.remove_callback(PrinterCallback)  # stdout is for the one who asked
    trainer.train()
    return stretch * (len(looks) - 1) / (looks[-1] - looks[0])


def together(
    side: str, processes: int, folder: Path, precision: str, flags: argparse.Namespace
) -> tuple[float, float, float]:
    """Steps a second of all processes; GiB and seconds to the first step of one."""
    command = [sys.executable, __file__, "--worker", side, "--folder", str(folder)]
    command += ["--precision", precision, *(["--tiny"] if flags.tiny else [])]
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "4"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen(command, env=environment, **pipes) for _ in range(processes)
    ]
    try:
        ready = [json.loads(process.stdout.readline()) for process in started]
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [json.loads(process.stdout.readline()) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    rate = sum(end["rate"] for end in ended)
    return rate, ended[0]["memory"], max(told["first"] for told in ready)


def row(bases: int, precision: str, folder: Path, flags: argparse.Namespace) -> str:
    """Measure a line of the table."""
    arguments = (folder, precision, flags)
    theirs, their_memory, _ = together("peer", 1, *arguments)
    alone, memory, first = together("ours", 1, *arguments)
    many = [""] * len(MANY)
    if bases == flags.lengths[0] and precision == "bf16":
        many = [f"{together('ours', n, *arguments)[0]:.1f}" for n in MANY]
    cells = [
        f"{bases}, {precision}",
        f"{theirs:.1f}",
        f"{alone:.1f}",
        f"{alone / theirs:.2f}",
        f"{their_memory:.1f}",
        f"{memory:.1f}",
        f"{first:.0f}",
        *many,
    ]
    return f"| {' | '.join(cells)} |"


def compare(flags: argparse.Namespace) -> None:
    """Print the table."""
    start, longest = time.monotonic(), 0.0
    print(f"| {' | '.join(HEADER)} |\n{'|---' * len(HEADER)}|", flush=True)
    with tempfile.TemporaryDirectory() as root:
        for bases in flags.lengths:
            write_inputs(Path(root) / str(bases), bases, flags.tiny)
        for precision in ("bf16", "fp32"):
            for bases in flags.lengths:
                begun = time.monotonic()
                if begun - start + longest > flags.budget:
                    print("the time is over: rows were left out", file=sys.stderr)
                    return
                folder = Path(root) / str(bases)
                print(row(bases, precision, folder, flags), flush=True)
                # the first row has the runs of several processes
                if bases != flags.lengths[0]:
                    longest = max(longest, time.monotonic() - begun)


def main(argv: list[str] | None = None) -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=420.0, help="seconds")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS, help="bases")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--worker", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    if not (CUDA or flags.tiny):
        print("No CUDA device: not measured.")
    elif flags.worker:
        timing = (0.1, 2) if flags.tiny else (SECONDS, STRETCH)
        measure = ours if flags.worker == "ours" else peer
        rate = measure(flags.folder, flags.precision, *timing)
        print(json.dumps({"rate": rate, "memory": memory()}), flush=True)
    else:
        compare(flags)


if __name__ == "__main__":
    main()
