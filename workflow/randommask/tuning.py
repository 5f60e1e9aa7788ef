"""The loop behind `randommask.finetune`: settings, steps, and the choice of an epoch.

Shapes: B rows computed at once, T tokens, N rows of a split, O outputs.
"""

import json
import math
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from randommask import heads, kmers, metrics
from randommask.adamw import AdamW
from randommask.curriculum import learning_rate
from randommask.errors import InputError
from randommask.examples import Examples
from randommask.lora import Lora
from randommask.trainer import autocast

DIVERGED = "diverged loss"
# A CPU is fastest while the attention scores of a layer, all heads of all rows
# together, stay in its cache.
SCORES_BYTES = 2**24
PREDICTED_ROWS = 512  # rows predicted at once on a GPU


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of a run; raises `InputError` for what makes no sense."""

    encoder: str
    tokenization: str
    dataset: str
    task: str
    metric: str
    """`mcc` or `pearson`, as the dataset's type asks: on dev it chooses the epoch."""
    seed: int
    """Of the head's first weights, the order of the rows, and dropout."""
    epochs: int
    batch_size: int
    """Rows of an optimizer step on any hardware; an epoch's last may have fewer."""
    learning_rate: float
    """At the end of the warm-up; from there linearly to 0."""
    warmup_steps: int
    weight_decay: float
    """AdamW's, of the matrices; biases and norms are not decayed."""
    betas: tuple[float, float]
    eps: float
    clip: float
    """The longest that the gradient, all weights together, may be."""
    dropout: float
    """Everywhere in the encoder, and before the head."""
    precision: str
    """`fp32`, `bf16`, or `auto`: bf16 where the hardware computes in it."""
    truncate: bool
    """Whether sequences longer than the encoder's positions are cut, or refused."""
    lora: Lora | None
    """Adapters to train in the encoder's place."""

    def __post_init__(self) -> None:
        words = {
            "tokenization": (kmers.OVERLAPPING, kmers.NON_OVERLAPPING, "character"),
            "metric": tuple(metrics.CHOSEN_BY.values()),
            "precision": ("fp32", "bf16", "auto"),
        }
        for name, due in words.items():
            if getattr(self, name) not in due:
                _refuse(name, getattr(self, name), " or ".join(due))
        for name, least in (("seed", 0), ("epochs", 1), ("batch_size", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                _refuse(name, value, f"a whole number from {least} up")
        if not 0 <= self.dropout < 1:
            _refuse("dropout", self.dropout, "from 0 to less than 1")

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Read the `--hparams` flag; every key is due, and no other."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(f"--hparams: not JSON ({error})") from None
        due = [field.name for field in fields(cls)]
        for name in due:
            if name not in values:
                raise InputError(f"--hparams: no {name!r}, expected {', '.join(due)}")
        if unknown := sorted(values.keys() - {*due}):
            raise InputError(f"--hparams: unknown {unknown[0]!r}")
        adapters = values["lora"]
        return cls(
            **{
                **values,
                "betas": tuple(values["betas"]),
                "lora": Lora.parse(adapters) if adapters is not None else None,
            }
        )


def _refuse(name: str, value: object, due: str) -> None:
    raise InputError(f"--hparams: {name} is {value!r}, expected {due}")


def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order in which epoch `epoch` takes the rows: a function of its arguments."""
    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(rows)


class Tuning:
    """The model, its optimizer and the dataset, on one device."""

    def __init__(self, folder: str | Path, data: Examples, settings: Settings) -> None:
        self.data, self.settings = data, settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.autocast = autocast(settings.precision, self.device)
        is_bf16 = isinstance(self.autocast, torch.autocast)
        self.precision = "bf16" if is_bf16 else "fp32"
        model = heads.build(
            folder, data.outputs, settings.dropout, settings.seed, settings.lora
        )
        self.model = model.to(self.device)
        self.config = model.encoder.config
        self.trained = model.trained()
        self.optimizer = AdamW(
            self.trained.values(), settings.betas, settings.eps, settings.weight_decay
        )
        self.scale, self.shift = self._standard()
        self.lengths, self.ids, self.labels = {}, {}, {}
        for name, split in data.splits.items():
            self.lengths[name] = split.lengths_N
            self.ids[name] = torch.from_numpy(split.ids_NT).to(self.device)
            labels = torch.from_numpy(split.labels).to(self.device)
            if data.type == metrics.REGRESSION:
                labels = ((labels - self.shift) / self.scale).float()
            self.labels[name] = labels
        self.epoch_steps = -(-len(self.lengths["train"]) // settings.batch_size)

    def train(self, epoch: int) -> float:
        """Take the steps of an epoch (from 1); return the mean loss of its rows."""
        settings = self.settings
        schedule = {
            "learning_rate": settings.learning_rate,
            "warmup_steps": settings.warmup_steps,
            "steps": settings.epochs * self.epoch_steps,
        }
        rows = order(settings.seed, epoch, len(self.lengths["train"]))
        # dropout: a seed of its own for each (seed, epoch)
        words = np.random.SeedSequence((settings.seed, epoch)).generate_state(1)
        torch.manual_seed(int(words[0]))
        self.model.train()
        total = torch.zeros((), device=self.device)
        for index in range(self.epoch_steps):
            first = index * settings.batch_size
            rate = learning_rate(schedule, (epoch - 1) * self.epoch_steps + index)
            total += self._step(rows[first : first + settings.batch_size], rate)
        return total.item() / len(rows)

    def _step(self, rows: np.ndarray, rate: float) -> Tensor:
        """Take one optimizer step on a batch; return the sum of its rows' losses."""
        total = torch.zeros((), device=self.device)
        for part in self._parts("train", rows, len(rows)):
            scores_BO, labels = self._scores("train", part)
            loss = self._loss(scores_BO, labels)
            (loss / len(rows)).backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.settings.clip)
        self.optimizer.step(rate)
        self.optimizer.clear()
        return total

    @torch.inference_mode()
    def predict(self, name: str) -> tuple[np.ndarray, float]:
        """Probabilities or values (N, O) float32 of a split, and the mean loss."""
        self.model.eval()
        rows = np.arange(len(self.lengths[name]))
        parts = self._parts(name, rows, PREDICTED_ROWS)
        scores_NO = torch.cat([self._scores(name, part)[0] for part in parts])
        loss = self._loss(scores_NO, self.labels[name]).item() / len(rows)
        if self.data.type == metrics.CLASSIFICATION:
            return scores_NO.softmax(1).cpu().numpy(), loss
        return (scores_NO * self.scale + self.shift).cpu().numpy(), loss

    def _parts(self, name: str, rows: np.ndarray, most: int) -> list[np.ndarray]:
        """Cut `rows` into parts to compute at once, of `most` rows at the most."""
        if self.device.type == "cpu":
            longest = int(self.lengths[name][rows].max())
            width = 2 if self.precision == "bf16" else 4
            most = min(most, SCORES_BYTES // (self.config.heads * longest**2 * width))
            most = max(1, most)
        return [rows[first : first + most] for first in range(0, len(rows), most)]

    def _scores(self, name: str, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """What the model puts out for some rows, (B, O) float32, and their labels."""
        lengths = self.lengths[name][rows]
        longest = int(lengths.max())
        chosen = torch.from_numpy(rows).to(self.device, non_blocking=True)
        ids_BT = self.ids[name][chosen, :longest].long()
        keep_BT = ids_BT != self.config.pad if lengths.min() < longest else None
        with self.autocast:
            return self.model(ids_BT, keep_BT).float(), self.labels[name][chosen]

    def _loss(self, scores_BO: Tensor, labels: Tensor) -> Tensor:
        """Sum over the rows of cross-entropy in nats, or of the mean square error."""
        if self.data.type == metrics.CLASSIFICATION:
            return F.cross_entropy(scores_BO, labels, reduction="sum")
        return ((scores_BO - labels) ** 2).mean(1).sum()

    def _standard(self) -> tuple[Tensor, Tensor]:
        """Spread and mean of each target on train, (O,) each; 1 and 0 for classes."""
        scale, shift = np.ones(self.data.outputs), np.zeros(self.data.outputs)
        if self.data.type == metrics.REGRESSION:
            labels = self.data.splits["train"].labels
            spread, shift = labels.std(0), labels.mean(0)
            scale = np.where(spread > 0, spread, 1.0)
        return tuple(
            torch.from_numpy(part).float().to(self.device) for part in (scale, shift)
        )


@dataclass(frozen=True)
class Outcome:
    """What training came to: the model is left with the weights of the best epoch."""

    best_epoch: int | None
    """None where no epoch gave finite dev predictions."""
    dev: np.ndarray
    """The dev predictions of the best epoch, or of the last one."""
    history: list[tuple[int, int, float, float, float]]
    """Of each epoch: epoch, step, train loss, dev loss, dev metric."""
    flags: list[str]


def fit(tuning: Tuning) -> Outcome:
    """Train all epochs, or until the loss is no number, and go back to the best one.

    The best epoch has the highest MCC or Pearson on dev; of equals it is the first.
    """
    kind, labels = tuning.data.type, tuning.data.splits["dev"].labels
    best, best_score, weights, dev = None, -math.inf, {}, None
    history, flags = [], []
    for epoch in range(1, tuning.settings.epochs + 1):
        train_loss = tuning.train(epoch)
        predictions, dev_loss = tuning.predict("dev")
        score = metrics.choose(kind, labels, predictions)
        step = epoch * tuning.epoch_steps
        history.append((epoch, step, train_loss, dev_loss, score))
        print(
            f"epoch {epoch}: train loss {train_loss:.4f}, dev loss {dev_loss:.4f}, "
            f"dev {metrics.CHOSEN_BY[kind]} {score:.4f}",
            file=sys.stderr,
        )
        if score > best_score and np.isfinite(predictions).all():
            best, best_score, dev = epoch, score, predictions
            weights = {n: p.detach().clone() for n, p in tuning.trained.items()}
        if not math.isfinite(train_loss):
            flags.append(DIVERGED)
            break
    tuning.model.load_state_dict(weights, strict=False)
    return Outcome(best, predictions if dev is None else dev, history, flags)
