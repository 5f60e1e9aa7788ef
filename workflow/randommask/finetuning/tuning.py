"""One step of a fine-tuning: the model, its optimizer and the dataset on one device.

What a step does depends on its number alone: the rows come from the order of its epoch,
dropout is seeded by it, the learning rate follows from it and the total. So a run that
was stopped goes on from any step (`fitting`), to the same bits on a CPU; on a GPU the
gradient of attention may differ in its last ones.

An example: 11,971 training rows in batches of 32 are 375 steps an epoch, the last of 3
rows. Step 1,000 is the third epoch's step 250 (from 0): it takes rows 8,000 to 8,031 of
that epoch's order, adds up the gradient of their mean loss, cuts it to norm 1 and steps
at the rate of step 1,000 of 37,500, 3e-5 * 36,500 / 37,450 = 2.92e-5. The history's
train loss of an epoch is the sum of its rows' losses, divided by 11,971.

A CPU computes a batch in parts that fit its cache, each as long as its longest row. On
CUDA a batch has one shape, the longest row of its split, so that its forward and
backward pass can be compiled and replayed as one CUDA graph, and no code here waits for
the device within an epoch. Transformers' does in ESM's uncompiled batches that are
padded: the device is waited for to say whether any position is padding.

Shapes: B rows computed at once, T tokens, N rows of a split, O outputs.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from randommask import metrics
from randommask.encoders import dropout
from randommask.experiment.hparams import Finetuning
from randommask.finetuning import heads
from randommask.finetuning.examples import Examples
from randommask.finetuning.inputs import Inputs
from randommask.training.optimizer import AdamW, learning_rate
from randommask.training.precision import autocast, keep_exact

# A CPU is fastest while the attention scores of a layer, all heads of all rows
# together, stay in its cache.
SCORES_BYTES = 2**24
# Rows that a GPU predicts at once: no gradient is kept, so more than a batch fit.
PREDICTED_ROWS = 512
# Compiling takes about half a minute, which shorter runs do not win back.
COMPILED_STEPS = 2000
# Forward and backward pass are each one CUDA graph: small kernels would otherwise wait
# for Python to start the next.
COMPILER = {"mode": "reduce-overhead", "dynamic": False}


def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order in which epoch `epoch` takes the rows: a function of its arguments."""
    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(rows)


def rows_at_once(heads: int, tokens: int, precision: str) -> int:
    """Rows of `tokens` tokens that a CPU had best compute together."""
    width = 2 if precision == "bf16" else 4
    return max(1, SCORES_BYTES // (heads * tokens**2 * width))


def keep_mask(lengths_B: Tensor, tokens: int) -> Tensor | None:
    """Where rows filled up to `tokens` hold no padding, (B, T); None if they hold none.

    A look at the lengths, so for a CPU: a GPU would have to be waited for.
    """
    if int(lengths_B.min()) == tokens:
        return None
    return torch.arange(tokens) < lengths_B[:, None]


def batches(
    ids_NT: np.ndarray,
    lengths_N: np.ndarray,
    heads: int,
    precision: str,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Rows to predict, as many at once as suit the device.

    Yields ids (B, T) int64, cut to the longest row among them, and their `keep_mask`.
    """
    lengths, most = torch.from_numpy(lengths_N), PREDICTED_ROWS
    if device.type == "cpu":
        most = rows_at_once(heads, int(lengths_N.max(initial=1)), precision)
    for first in range(0, len(ids_NT), most):
        lengths_B = lengths[first : first + most]
        longest = int(lengths_B.max())
        keep_BT = keep_mask(lengths_B, longest)
        if keep_BT is not None:
            keep_BT = keep_BT.to(device)
        ids_BT = torch.from_numpy(ids_NT[first : first + most, :longest])
        yield ids_BT.to(device).long(), keep_BT


class Tuning:
    """The model, its optimizer and the dataset, on one device.

    `compiler` holds arguments of `torch.compile`, for steps whose batches have one
    shape. None leaves it to the device: a GPU compiles a long run, a CPU none. `inputs`
    are those of another run on the same `data`, which are read and changed by nobody.
    """

    def __init__(
        self,
        folder: str | Path,
        data: Examples,
        settings: Finetuning,
        compiler: dict[str, Any] | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        self.data, self.settings = data, settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        inputs = inputs or Inputs(folder, data, settings, self.device)
        self.inputs, self.scale, self.shift = inputs, inputs.scale, inputs.shift
        self.lengths, self.ids = inputs.lengths, inputs.ids
        self.labels, self.is_padded = inputs.labels, inputs.is_padded
        self.autocast = autocast(settings.precision, self.device)
        is_bf16 = isinstance(self.autocast, torch.autocast)
        self.precision = "bf16" if is_bf16 else "fp32"
        model = heads.build(
            folder,
            data.outputs,
            settings.dropout,
            settings.seed,
            settings.lora,
            settings.pooling,
        )
        keep_exact(settings.dropout)
        self.model = model.to(self.device)
        self.config = model.encoder.config
        self.trained = model.trained()
        self.optimizer = AdamW(
            self.trained.values(), settings.betas, settings.eps, settings.weight_decay
        )
        self.epoch_steps = -(-len(self.lengths["train"]) // settings.batch_size)
        self.steps = settings.max_steps or settings.epochs * self.epoch_steps
        self.warmup = settings.warmup_steps
        if settings.warmup_share is not None:
            self.warmup = round(settings.warmup_share * self.steps)
        self._order: tuple[int, Tensor] = (0, torch.empty(0))
        is_cuda = self.device.type == "cuda"
        if compiler is None and is_cuda and self.steps >= COMPILED_STEPS:
            compiler = COMPILER
        self.is_static = is_cuda or compiler is not None
        self.compiled: Callable[..., Tensor] | None = None
        self.has_compiled = False
        if compiler is not None:
            self.compiled = torch.compile(self._batch_loss, **compiler)

    def step(self, step: int) -> Tensor:
        """Take step `step` (from 0); return the sum of its rows' losses, on the device.

        Dropout has a seed of its own for each (seed, step).
        """
        settings = self.settings
        epoch, index = divmod(step, self.epoch_steps)
        if self._order[0] != epoch + 1:
            rows = order(settings.seed, epoch + 1, len(self.lengths["train"]))
            self._order = (epoch + 1, torch.from_numpy(rows).to(self.device))
        first = index * settings.batch_size
        rows = self._order[1][first : first + settings.batch_size]
        words = np.random.SeedSequence((settings.seed, step)).generate_state(1)
        self.model.train()
        total = self._gradient(rows, int(words[0]))
        torch.nn.utils.clip_grad_norm_(self.trained.values(), settings.clip)
        rate = learning_rate(
            settings.learning_rate, self.warmup, self.steps, step, settings.decay
        )
        self.optimizer.step(rate)
        self.optimizer.clear()
        return total

    def epoch_rows(self, step: int) -> int:
        """Rows that the epoch has taken which ends with, or is in, `step` steps."""
        taken = (step - 1) % self.epoch_steps + 1
        return min(taken * self.settings.batch_size, len(self.lengths["train"]))

    @torch.inference_mode()
    def predict(self, name: str) -> tuple[np.ndarray, float]:
        """Probabilities or values (N, O) float32 of a split, and the mean loss."""
        self.model.eval()
        rows = torch.arange(len(self.lengths[name]), device=self.device)
        scores_NO = torch.cat(
            [self._scores(*self._batch(name, part)) for part in self._parts(name, rows)]
        )
        loss = self._loss(scores_NO, self.labels[name]).item() / len(rows)
        return predictions(self.data.type, scores_NO, self.scale, self.shift), loss

    def moments(self) -> dict[str, Tensor]:
        """The optimizer's state by parameter, to go on from."""
        return self.optimizer.moments(self.trained)

    @torch.no_grad()
    def restore(
        self, weights: dict[str, Tensor], moments: dict[str, Tensor], step: int
    ) -> None:
        """Put back the trained weights and what `moments` gave after `step` steps."""
        for name, parameter in self.trained.items():
            parameter.copy_(weights[name])
        self.optimizer.restore(self.trained, moments, step)

    def _gradient(self, rows: Tensor, seed: int) -> Tensor:
        """Leave the gradient of the mean loss of `rows`; return the sum of losses."""
        dropout.seed(seed, self.device)
        if self.compiled and len(rows) == self.settings.batch_size:
            try:
                loss = self._backward(self.compiled, rows, len(rows))
                self.has_compiled = True
                return loss
            except Exception as error:
                # The kinds of a compiler's failures are open, and none is worth a run;
                # what the device itself cannot do will fail again below.
                if self.has_compiled:
                    raise
                said = " ".join(str(error).split())[:200]
                print(f"warning: torch.compile failed: {said}", file=sys.stderr)
                self.compiled = None
                self.optimizer.clear()
                dropout.seed(seed, self.device)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for part in self._parts("train", rows):
            total += self._backward(self._batch_loss, part, len(rows))
        return total

    def _backward(
        self, loss_of: Callable[..., Tensor], part: Tensor, rows: int
    ) -> Tensor:
        """Add a part's share of the gradient; return the sum of its rows' losses."""
        loss = loss_of(*self._batch("train", part))
        (loss / rows).backward()
        return loss.detach().double()

    def _parts(self, name: str, rows: Tensor) -> tuple[Tensor, ...]:
        """Cut `rows` into parts to compute at once; a GPU takes a batch whole."""
        if self.is_static:
            is_batch = len(rows) <= self.settings.batch_size
            return (rows,) if is_batch else rows.split(PREDICTED_ROWS)
        longest = int(self.lengths[name][rows].max())
        return rows.split(rows_at_once(self.config.heads, longest, self.precision))

    def _batch(self, name: str, rows: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Ids (B, T), where they are no padding (B, T) or None, and labels, of rows."""
        ids_BT, lengths_B = self.ids[name][rows], self.lengths[name][rows]
        if not self.is_static:
            longest = int(lengths_B.max())
            ids_BT, keep_BT = ids_BT[:, :longest], keep_mask(lengths_B, longest)
        elif self.is_padded[name]:
            positions = torch.arange(ids_BT.shape[1], device=self.device)
            keep_BT = positions < lengths_B[:, None]
        else:
            keep_BT = None
        return ids_BT.long(), keep_BT, self.labels[name][rows]

    def _scores(self, ids_BT: Tensor, keep_BT: Tensor | None, _: Tensor) -> Tensor:
        """What the model puts out, (B, O) float32."""
        with self.autocast:
            return self.model(ids_BT, keep_BT).float()

    def _batch_loss(
        self, ids_BT: Tensor, keep_BT: Tensor | None, labels: Tensor
    ) -> Tensor:
        """Sum of the rows' losses."""
        return self._loss(self._scores(ids_BT, keep_BT, labels), labels)

    def _loss(self, scores_BO: Tensor, labels: Tensor) -> Tensor:
        """Sum over the rows of cross-entropy in nats, or of the mean square error.

        Of several labels it is the mean of theirs.
        """
        if self.data.type == metrics.CLASSIFICATION:
            return F.cross_entropy(scores_BO, labels, reduction="sum")
        if self.data.type == metrics.MULTILABEL:
            told = {"reduction": "none"}
            losses_BO = F.binary_cross_entropy_with_logits(scores_BO, labels, **told)
            return losses_BO.mean(1).sum()
        return ((scores_BO - labels) ** 2).mean(1).sum()


def predictions(
    task_type: str, scores_NO: Tensor, scale: Tensor | float, shift: Tensor | float
) -> np.ndarray:
    """Probabilities of classes or labels, or values in their units: (N, O) float32."""
    if task_type == metrics.CLASSIFICATION:
        return scores_NO.softmax(1).cpu().numpy()
    if task_type == metrics.MULTILABEL:
        return scores_NO.sigmoid().cpu().numpy()
    return (scores_NO * scale + shift).cpu().numpy()
