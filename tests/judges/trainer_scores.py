"""Scores of transformers' Trainer beside ours, on runs that a workflow has made.

    python tests/judges/trainer_scores.py results/slice dnabert-cls \
        TF-M-0 TF-M-1 TF-M-2 TF-H-0 CPD-tata

For each data set and seed of the encoder's runs, Trainer fine-tunes the same weights by
the same settings, in its own order of rows, with its own evaluation, scored by
scikit-learn: once with our head, a linear layer on [CLS], and once with that of
transformers' BertForSequenceClassification, which DNABERT's and DNABERT-2's scripts
use: a dense layer with tanh, drawn anew, lies in between. Prints a table and the
mean differences.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from sklearn.metrics import matthews_corrcoef
from torch import nn
from transformers import (
    BertForSequenceClassification,
    BertModel,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import logging

from randommask.experiment.hparams import Finetuning
from randommask.finetuning import examples
from randommask.finetuning.tokens import tokenize

LINEAR, POOLER = "Trainer, linear head", "Trainer, pooler"
OURS = "ours, linear head"


class LinearHead(nn.Module):
    """BertModel, dropout and a linear layer on the first token's last hidden state."""

    def __init__(self, folder: str, outputs: int, dropout: float) -> None:
        super().__init__()
        self.bert = BertModel.from_pretrained(
            folder,
            add_pooling_layer=False,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.bert.config.hidden_size, outputs)
        nn.init.normal_(self.head.weight, 0.0, 0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, input_ids, attention_mask, labels=None):
        """Logits of the classes, and with labels their mean cross-entropy."""
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        logits = self.head(self.dropout(hidden[:, 0]))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def rows(data, tokens, split):
    """A split as Trainer takes it, filled up to one length."""
    ids = torch.from_numpy(tokens[split].ids_NT).long()
    lengths = torch.from_numpy(tokens[split].lengths_N)
    keep = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    labels = torch.from_numpy(data.splits[split].labels)
    return [
        {"input_ids": row, "attention_mask": mask, "labels": label}
        for row, mask, label in zip(ids, keep, labels, strict=True)
    ]


def score(folder: str, source: str, settings: Finetuning, kind: str) -> float:
    """Test MCC of the epoch that is best on dev, per cent, all by Trainer."""
    data = examples.read(source, settings)
    tokens = tokenize(data, folder, settings.tokenization, settings.truncate)
    set_seed(settings.seed)
    if kind == LINEAR:
        model = LinearHead(folder, data.outputs, settings.dropout)
    else:
        model = BertForSequenceClassification.from_pretrained(
            folder,
            num_labels=data.outputs,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=settings.dropout,
        )
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=out,
                num_train_epochs=settings.epochs,
                per_device_train_batch_size=settings.batch_size,
                per_device_eval_batch_size=128,
                learning_rate=settings.learning_rate,
                warmup_steps=settings.warmup_steps,
                weight_decay=settings.weight_decay,
                adam_epsilon=settings.eps,
                max_grad_norm=settings.clip,
                seed=settings.seed,
                use_cpu=not torch.cuda.is_available(),
                bf16=settings.precision != "fp32",
                eval_strategy="epoch",
                save_strategy="epoch",
                save_total_limit=1,
                load_best_model_at_end=True,
                metric_for_best_model="mcc",
                greater_is_better=True,
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
            ),
            train_dataset=rows(data, tokens, "train"),
            eval_dataset=rows(data, tokens, "dev"),
            compute_metrics=lambda found: {
                "mcc": matthews_corrcoef(found.label_ids, found.predictions.argmax(1))
            },
        )
        trainer.train()
        found = trainer.predict(rows(data, tokens, "test"))
    return 100 * matthews_corrcoef(found.label_ids, found.predictions.argmax(1))


def paired(ours: list[float], theirs: list[float]) -> str:
    """The mean of the differences with its 95 % interval over data sets and seeds."""
    gaps = np.subtract(ours, theirs)
    low, high = stats.ttest_1samp(gaps, 0).confidence_interval()
    return f"{gaps.mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    """Read the flags, fine-tune and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a workflow's results")
    parser.add_argument("encoder", help="whose runs to judge; BERT, its head on [CLS]")
    parser.add_argument("datasets", nargs="+")
    flags = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    folder = str(flags.results / "encoders" / flags.encoder)
    found = {OURS: [], LINEAR: [], POOLER: []}
    lines = [f"| data set | {' | '.join(found)} |", f"|---{'|---:' * len(found)}|"]
    for dataset in flags.datasets:
        runs = flags.results / "finetune" / flags.encoder / "overlapping" / dataset
        own = {kind: [] for kind in found}
        for path in sorted(runs.glob("seed*/metrics.json")):
            record = json.loads(path.read_text())
            settings = Finetuning.parse(json.dumps(record["settings"]))
            own[OURS].append(100 * record["score"])
            source = str(flags.results / "benchmark" / dataset)
            for kind in (LINEAR, POOLER):
                own[kind].append(score(folder, source, settings, kind))
        cells = [
            f"{statistics.fmean(v):.1f} ± {statistics.stdev(v):.1f}"
            for v in own.values()
        ]
        lines.append(f"| {dataset} | {' | '.join(cells)} |")
        for kind, values in own.items():
            found[kind] += values
    print("\n".join(lines))
    print(f"\nours less {LINEAR}: {paired(found[OURS], found[LINEAR])}")
    print(f"\n{LINEAR} less {POOLER}: {paired(found[LINEAR], found[POOLER])}")


if __name__ == "__main__":
    main()
