"""Fine-tuning on the CPU, against transformers' Trainer as DNABERT-2 runs it.

    CUDA_VISIBLE_DEVICES= PYTHONPATH=workflow python bench/finetuning.py [--repeats 3]

The same encoder (4 x 256, random weights), the same made rows of 300 bases, batch and
dropout for all. Runs alternate, medians are shown. DNABERT-2's way: fp32, every row
padded to the longest of the data set, an evaluation with scikit-learn's metrics and a
checkpoint every 200 steps. Ours: an evaluation at the end of an epoch. It is scaled
down from EMP-H3 (374 steps an epoch, an eighth as many dev rows as training rows):
20 steps an epoch, 20 dev rows, their evaluation every 10 steps. "Steps" leaves the
evaluations out on both sides. The last line tokenizes as many rows as DeepSTARR has;
the tokenizer of transformers is measured on a two-hundredth of them. Times are of the
processor, which other work on the machine disturbs least: set OMP_NUM_THREADS=1.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from time import process_time as now

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn import metrics as sklearn_metrics
from transformers import (
    BertForSequenceClassification,
    BertTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

from randommask import kmers
from randommask.encoders import bert
from randommask.experiment.hparams import Finetuning
from randommask.files import sha256
from randommask.finetuning import examples
from randommask.finetuning.fitting import fit
from randommask.finetuning.tokens import tokenize
from randommask.finetuning.tuning import Tuning

K, BASES, BATCH, DEV_ROWS = 6, 300, 8, 20
STEPS, EVALUATE_EVERY = 20, 10
LEARNING_RATE, WARMUP_STEPS, DROPOUT = 3e-5, 5, 0.1
SIZES = bert.EncoderConfig(4, 256, 4, 1024, 512, K, "overlapping", DROPOUT)
TOKENIZED_ROWS, TOKENIZED_BASES, SHARE = 400_000, 249, 200
HEADER = (
    "work",
    "transformers (s)",
    "ours, fp32 (s)",
    "ours, bf16 (s)",
    "transformers / fp32",
    "transformers / bf16",
)


def sequences(rows: int, bases: int) -> list[str]:
    """Random DNA."""
    letters = np.frombuffer(b"ACGT", np.uint8)
    codes = np.random.default_rng(0).integers(0, 4, (rows, bases))
    text = letters[codes].tobytes().decode()
    return [text[first : first + bases] for first in range(0, len(text), bases)]


def write_inputs(folder: Path, steps: int) -> None:
    """An encoder and a data set of two classes that say nothing."""
    model = bert.Encoder(SIZES)
    model.initialise(torch.Generator().manual_seed(0))
    bert.save(model, folder / "encoder")
    data = folder / "data"
    data.mkdir()
    for name, rows in (("train", steps * BATCH), ("dev", DEV_ROWS), ("test", 2)):
        made = {"sequence": sequences(rows, BASES), "label": np.arange(rows) % 2}
        pq.write_table(pa.table(made), data / f"{name}.parquet")
    summary = {"dataset": "made", "type": "classification", "classes": 2, "targets": []}
    sums = {path.stem: {"sha256": sha256(path)} for path in data.glob("*.parquet")}
    (data / "summary.json").write_text(json.dumps(summary | {"splits": sums}))


class StepClock(TrainerCallback):
    """Seconds spent in optimizer steps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the clock."""
        self.start = now()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Stop it."""
        self.seconds += now() - self.start


def scores(evaluated: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """DNABERT-2's metrics."""
    logits, labels = evaluated
    named, macro = logits.argmax(1), {"average": "macro", "zero_division": 0}
    return {
        "accuracy": sklearn_metrics.accuracy_score(labels, named),
        "f1": sklearn_metrics.f1_score(labels, named, **macro),
        "mcc": sklearn_metrics.matthews_corrcoef(labels, named),
        "precision": sklearn_metrics.precision_score(labels, named, **macro),
        "recall": sklearn_metrics.recall_score(labels, named, **macro),
    }


def peer(folder: Path, data: examples.Examples, out: Path) -> tuple[float, float]:
    """Seconds of Trainer's steps, and of all its training."""
    splits, tokens = {}, tokenize(data, folder, "overlapping")
    for name in ("train", "dev"):
        split = data.splits[name]
        ids = torch.from_numpy(tokens[name].ids_NT.astype(np.int64))
        splits[name] = [
            {"input_ids": row, "attention_mask": row != kmers.PAD, "labels": label}
            for row, label in zip(ids, split.labels.tolist(), strict=True)
        ]
    clock = StepClock()
    trainer = Trainer(
        model=BertForSequenceClassification.from_pretrained(folder, num_labels=2),
        args=TrainingArguments(
            output_dir=str(out),
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=16,
            learning_rate=LEARNING_RATE,
            warmup_steps=WARMUP_STEPS,
            weight_decay=0.01,
            eval_strategy="steps",
            eval_steps=EVALUATE_EVERY,
            save_steps=EVALUATE_EVERY,
            load_best_model_at_end=True,
            logging_steps=100_000,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=splits["train"],
        eval_dataset=splits["dev"],
        compute_metrics=scores,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)  # the table alone goes to stdout
    start = now()
    trainer.train()
    return clock.seconds, now() - start


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
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        warmup_steps=WARMUP_STEPS,
        weight_decay=0.01,
        betas=(0.9, 0.999),
        eps=1e-8,
        clip=1.0,
        dropout=DROPOUT,
        precision=precision,
    )


def ours(folder: Path, data: examples.Examples, precision: str) -> tuple[float, float]:
    """Seconds of our steps, and of all our training."""
    run, seconds = Tuning(folder, data, told(precision)), 0.0
    take = run.step

    def step(number: int) -> torch.Tensor:
        nonlocal seconds
        start = now()
        loss = take(number)
        seconds += now() - start
        return loss

    run.step = step
    start = now()
    fit(run)
    return seconds, now() - start


def tokenization(folder: Path) -> tuple[float, float]:
    """Seconds for all rows: transformers' tokenizer, by its share, and ours."""
    rows = sequences(TOKENIZED_ROWS, TOKENIZED_BASES)
    tokenizer = BertTokenizer.from_pretrained(folder)
    start = now()
    words = [
        " ".join(row[first : first + K] for first in range(len(row) - K + 1))
        for row in rows[: TOKENIZED_ROWS // SHARE]
    ]
    tokenizer(words, padding="longest", return_tensors="np")
    theirs = SHARE * (now() - start)
    start = now()
    kmers.tokenize(rows, "overlapping", K)
    return theirs, now() - start


def line(work: str, theirs: float, fp32: float, bf16: float | None) -> str:
    """A row of the table."""
    ratios = [f"{theirs / fp32:.2f}", f"{theirs / bf16:.2f}" if bf16 else ""]
    seconds = [f"{theirs:.2f}", f"{fp32:.2f}", f"{bf16:.2f}" if bf16 else ""]
    return f"| {' | '.join((work, *seconds, *ratios))} |"


def main(argv: list[str] | None = None) -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    flags = parser.parse_args(argv)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, STEPS)
        data = examples.read(folder / "data", told("fp32"))
        taken: list[list[tuple[float, float]]] = [[], [], []]
        for repeat in range(flags.repeats):
            out = folder / f"out{repeat}"
            taken[0].append(peer(folder / "encoder", data, out))
            taken[1].append(ours(folder / "encoder", data, "fp32"))
            taken[2].append(ours(folder / "encoder", data, "bf16"))
        words = tokenization(folder / "encoder")
    size = f"{SIZES.layers} x {SIZES.hidden}, {BASES - K + 3} tokens x {BATCH}"
    print(f"| {' | '.join(HEADER)} |\n{'|---' * len(HEADER)}|")
    for part, what in enumerate(("steps", "steps, with evaluations")):
        medians = [statistics.median(pair[part] for pair in way) for way in taken]
        print(line(f"{STEPS} {what} ({size})", *medians))
    print(line(f"{TOKENIZED_ROWS:,} x {TOKENIZED_BASES} bases to ids", *words, None))


if __name__ == "__main__":
    main()
