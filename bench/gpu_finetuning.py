"""Fine-tuning on one GPU, against transformers' Trainer: one Markdown table.

    PYTHONPATH=workflow python bench/gpu_finetuning.py [--budget 420] [--lengths 300]

The base encoder with random weights, made rows of one length, batches of 32, dropout
0.1. Steps a second of all runs together, evaluations left out on both sides.
transformers is run as DNABERT-2 runs it (its Trainer, every row padded to the longest);
ours as `randommask.finetuning` runs long jobs: deterministic kernels where there are
some, a compiled step that is replayed as a CUDA graph. Several runs on the one GPU are
several processes, or take turns in one (`finetune.together`): with CUDA graphs on one
stream, or compiled without them on a stream each, which is not what ships. Every
measurement is a process of its own; "ready" is from its start to the first step of all.

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
from randommask.finetuning.turns import Turn

K, BATCH, ROWS, STEPS = 6, 32, 2048, 100_000
SECONDS, STRETCH = 8.0, 25  # timed; steps between two looks at the clock
LENGTHS = (300, 101, 500)  # bases
BASE = (12, 768, 12, 3072, 512)
TINY = (2, 16, 2, 32, 512)
PEER, OURS = "transformers", "ours"
TURNS, STREAMS = "ours, 3 take turns", "ours, 3 on streams, no CUDA graphs"
WAYS = {  # how many processes, runs in each
    PEER: (1, 1),
    OURS: (1, 1),
    TURNS: (1, 3),
    "ours, 3 processes": (3, 1),
    STREAMS: (1, 3),
    "ours, 2 processes": (2, 1),
}
ALONE = (PEER, OURS)
"""What is measured of the other lengths and in fp32."""
WITHOUT_GRAPHS = {"dynamic": False}
HEADER = (
    "bases, precision",
    "way",
    "steps/s",
    "times transformers",
    "times ours alone",
    "GiB of a process",
    "ready (s)",
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


def told(precision: str, seed: int = 0) -> Finetuning:
    """What both are told of the run."""
    return Finetuning(
        encoder="made",
        tokenization="overlapping",
        dataset="made",
        task="EMP",
        metric="mcc",
        seed=seed,
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


def ours(
    folder: Path, precision: str, seconds: float, stretch: int, way: str = OURS
) -> float:
    """Steps a second, of all runs that take turns."""
    start = time.perf_counter()
    if CUDA:
        _make_deterministic()
    compiler = {"backend": "eager", "dynamic": False}
    if CUDA:
        compiler = WITHOUT_GRAPHS if way == STREAMS else COMPILER
    settings = [told(precision, seed) for seed in range(WAYS[way][1])]
    each, inputs, runs = examples.read_each(folder / "data", settings), None, []
    for data, one in zip(each, settings, strict=True):
        tuning = Tuning(folder / "encoder", data, one, compiler, inputs)
        inputs = tuning.inputs
        stream = torch.cuda.Stream() if CUDA and way == STREAMS else None
        runs.append((tuning, Turn(iter(()), stream=stream)))
    wait()

    def step(number: int) -> None:
        for tuning, turn in runs:
            with turn.on_stream():
                tuning.step(number)

    step(0)
    wait()
    first = time.perf_counter() - start
    for number in range(1, stretch):
        step(number)
    if not all(tuning.has_compiled for tuning, _ in runs):
        raise RuntimeError("the compiler failed: not what is to be measured")
    report_in(first)
    start, taken = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(stretch):
            step(stretch + taken)
            taken += 1
        wait()
    return taken * len(runs) / (time.perf_counter() - start)


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


def measure(
    way: str, folder: Path, precision: str, flags: argparse.Namespace
) -> tuple[float, float, float]:
    """Steps a second of all runs; GiB and seconds to the first step of one process."""
    command = [sys.executable, __file__, "--worker", way, "--folder", str(folder)]
    command += ["--precision", precision, *(["--tiny"] if flags.tiny else [])]
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "4"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = []
    try:
        for _ in range(WAYS[way][0]):
            started.append(subprocess.Popen(command, env=environment, **pipes))
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


def compare(flags: argparse.Namespace) -> None:
    """Print the table."""
    start, longest = time.monotonic(), 0.0
    print(f"| {' | '.join(HEADER)} |\n{'|---' * len(HEADER)}|", flush=True)
    first = (flags.lengths[0], "bf16")
    kinds = [first, *((n, "bf16") for n in flags.lengths[1:]), (first[0], "fp32")]
    with tempfile.TemporaryDirectory() as root:
        for bases in flags.lengths:
            write_inputs(Path(root) / str(bases), bases, flags.tiny)
        for bases, precision in kinds:
            rates: dict[str, float] = {}
            for way in WAYS if (bases, precision) == first else ALONE:
                begun = time.monotonic()
                if begun - start + longest > flags.budget:
                    print("the time is over: rows were left out", file=sys.stderr)
                    return
                try:
                    found = measure(way, Path(root) / str(bases), precision, flags)
                except (ValueError, OSError):  # it ended; its own words stand above
                    print(f"{bases}, {precision}, {way}: failed", file=sys.stderr)
                    continue
                rates[way] = found[0]
                times = [
                    f"{found[0] / rates[x]:.2f}" if x in rates else "" for x in ALONE
                ]
                cells = [f"{bases}, {precision}", way, f"{found[0]:.1f}", *times]
                cells += [f"{found[1]:.1f}", f"{found[2]:.0f}"]
                print(f"| {' | '.join(cells)} |", flush=True)
                longest = max(longest, time.monotonic() - begun)


def main(argv: list[str] | None = None) -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=420.0, help="seconds")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS, help="bases")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    if not (CUDA or flags.tiny):
        print("No CUDA device: not measured.")
    elif flags.worker:
        timing = (0.1, 2) if flags.tiny else (SECONDS, STRETCH)
        arguments = (flags.folder, flags.precision, *timing)
        is_peer = flags.worker == PEER
        rate = peer(*arguments) if is_peer else ours(*arguments, flags.worker)
        print(json.dumps({"rate": rate, "memory": memory()}), flush=True)
    else:
        compare(flags)


if __name__ == "__main__":
    main()
