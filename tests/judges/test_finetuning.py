"""Fine-tuning against transformers' Trainer, and scikit-learn's score of its epochs."""

import numpy as np
import pytest
import torch
from made import dataset
from sklearn.metrics import matthews_corrcoef
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler
from trainer_scores import LinearHead
from transformers import (
    Trainer,
    TrainingArguments,
    get_linear_schedule_with_warmup,
)

from randommask.finetuning import examples, fitting, tuning

JUDGE = "transformers' Trainer"
SETTINGS = {
    "dropout": 0.0,
    "epochs": 3,
    "batch_size": 16,
    "warmup_steps": 5,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "clip": 0.5,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two classes to tell by a motif, in sequences of 20 to 36 bases; 160 to train."""
    random = np.random.default_rng(7)
    splits = {}
    for seed, (split, rows) in enumerate({"train": 160, "dev": 90, "test": 90}.items()):
        sequences, labels = dataset.planted(seed, rows, 2, 20)
        ends = ["".join(random.choice(list("ACGT"), n % 17)) for n in range(rows)]
        splits[split] = [a + b for a, b in zip(sequences, ends, strict=True)], labels
    return dataset.write(tmp_path_factory.mktemp("judged") / "data", splits)


class Ordered(Sampler):
    """The rows in the order in which our loop takes them, epoch by epoch."""

    def __init__(self, seed, rows):
        self.seed, self.rows, self.epoch = seed, rows, 0

    def __len__(self):
        return self.rows

    def __iter__(self):
        self.epoch += 1
        return iter(tuning.order(self.seed, self.epoch, self.rows).tolist())


class OrderedTrainer(Trainer):
    def _get_train_sampler(self, *_):
        return Ordered(self.args.seed, len(self.train_dataset))


def rows_of(made, split):
    """A split as a list of what the judge's model takes, filled up to one length."""
    ids, lengths = made.ids[split].long(), made.lengths[split]
    keep = torch.arange(ids.shape[1]) < lengths[:, None]
    return [
        {"input_ids": row, "attention_mask": mask.long(), "labels": label}
        for row, mask, label in zip(ids, keep, made.labels[split], strict=True)
    ]


def trainer(made, model, out, settings, **changes):
    exempt = [p for p in model.parameters() if p.ndim == 1]
    others = [p for p in model.parameters() if p.ndim > 1]
    groups = [
        {"params": others, "weight_decay": settings.weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps
    )
    [share, _] = get_linear_schedule_with_warmup(
        optimizer, settings.warmup_steps, made.steps
    ).lr_lambdas
    # Transformers' first step has rate 0; ours begins at its second.
    schedule = LambdaLR(optimizer, lambda n: share(n + (n < settings.warmup_steps)))
    arguments = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=64,
        max_grad_norm=settings.clip,
        seed=settings.seed,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **({"save_strategy": "no"} | changes),
    )
    return OrderedTrainer(
        model=model,
        args=arguments,
        train_dataset=rows_of(made, "train"),
        eval_dataset=rows_of(made, "dev"),
        optimizers=(optimizer, schedule),
        compute_metrics=lambda found: {
            "mcc": matthews_corrcoef(found.label_ids, found.predictions.argmax(1))
        },
    )


def tuned(folder, data, **changes):
    settings = dataset.hparams(**SETTINGS | changes)
    made = tuning.Tuning(folder, examples.read(data, settings), settings)
    model = LinearHead(folder, made.data.outputs, settings.dropout)
    model.head.load_state_dict(made.model.head.state_dict())
    return made, model, settings


def test_thirty_steps_give_the_same_logits(folder, data, tmp_path, verdict):
    made, model, settings = tuned(folder, data)
    theirs = trainer(made, model, tmp_path, settings)
    before = theirs.predict(rows_of(made, "test")).predictions
    theirs.train()
    assert theirs.state.global_step == made.steps == 30
    for step in range(30):
        made.step(step)
    judged = theirs.predict(rows_of(made, "test")).predictions
    assert np.abs(judged - before).max() > 0.1  # they have learnt something
    made.model.eval()
    with torch.no_grad():
        keep = torch.stack([row["attention_mask"] for row in rows_of(made, "test")])
        ours = made.model(made.ids["test"].long(), keep.bool()).numpy()
    verdict("logits after 30 steps", JUDGE, np.abs(ours - judged).max(), 1e-4)


def test_the_best_epoch_on_dev_predicts_test(folder, data, tmp_path, verdict):
    # A rate at which the score goes up and down: the last epoch is not the best.
    made, model, settings = tuned(folder, data, learning_rate=3e-3, epochs=6)
    outcome = fitting.fit(made)
    theirs = trainer(
        made, model, tmp_path, settings, save_strategy="epoch", eval_strategy="epoch",
        load_best_model_at_end=True, metric_for_best_model="mcc",
        greater_is_better=True,
    )  # fmt: skip
    theirs.train()
    scores = [row["eval_mcc"] for row in theirs.state.log_history if "eval_mcc" in row]
    ours = [score for *_, score in outcome.history]
    largest = np.abs(np.subtract(ours, scores)).max()
    verdict("dev MCC of each of 6 epochs", f"{JUDGE}, scikit-learn", largest, 1e-9)
    best = 1 + int(np.argmax(scores))
    assert 1 < best < settings.epochs
    verdict("epoch that is chosen", JUDGE, abs(outcome.best_epoch - best), 0)
    judged = theirs.predict(rows_of(made, "test")).predictions
    judged = torch.from_numpy(judged).softmax(1).numpy()
    mine, _ = made.predict("test")
    verdict("probabilities of test", JUDGE, np.abs(mine - judged).max(), 1e-3)


def test_what_stands_behind_a_sequence_is_never_read(folder, data, verdict):
    made, _, _ = tuned(folder, data)
    rows = rows_of(made, "test")
    keep = torch.stack([row["attention_mask"] for row in rows]).bool()
    ids = made.ids["test"].long()
    assert not keep.all()
    made.model.eval()
    with torch.no_grad():
        one = made.model(ids, keep)
        drawn = torch.randint(5, 60, ids.shape, generator=torch.Generator())
        other = made.model(torch.where(keep, ids, drawn), keep)
    largest = (one - other).abs().max().item()
    verdict("logits, other tokens behind the sequence", "ours", largest, 1e-6)
