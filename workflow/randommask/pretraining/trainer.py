"""One step of pretraining: the encoder, its optimizer and its batches on one device.

What a step does depends on its number alone: windows, masks and dropout are seeded by
it, learning rate and phase follow from it and the encoder's total.

An example: step 30,000 of the paper's 480,000 on two GPUs. Each takes four of the
batch's eight micro-batches of 64 x 512 tokens, of which 4,617 are masked on average,
and adds up the gradients of the *sums* of their losses; the mean over the two GPUs is
taken during the last backward pass (see `gradient`). Then the sums of the losses and
the numbers of masked positions are added over the GPUs: 37,000 positions in all. Only
now the gradient is divided by half that number, so that every masked position counts
the same however many its micro-batch had, or its GPU. It is cut to norm 1 and AdamW
steps at the rate of step 30,000, 1e-4 * 450,000 / 470,000 = 9.57e-5.

Nothing in a step waits for the device: `collect` brings in what the steps since its
last call gave. On a GPU one forward pass is compiled for one static shape; a batch with
more masked positions than that shape holds is computed uncompiled, in two halves.

Shapes: M sequences of a micro-batch, T tokens, P masked positions.
"""

import math
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from randommask import kmers, masking
from randommask.data.windows import VALIDATION_STEP, Corpus
from randommask.encoders import bert, cost, dropout, ours
from randommask.errors import InputError
from randommask.experiment.hparams import Settings
from randommask.experiment.sections import MUON, Phase
from randommask.pretraining import loader, origin
from randommask.pretraining.gradient import Gradient
from randommask.pretraining.origin import Origin
from randommask.training import optimizer, state
from randommask.training.muon import Muon
from randommask.training.optimizer import AdamW
from randommask.training.precision import autocast, keep_exact

COMPILER = "inductor"
# After so many steps every shape that a run meets has been compiled. Were one compiled
# later, each step could cost half a minute and nobody would know why: then the
# compiler is told to fail instead.
WARM_UP_STEPS = 2
# Share of a gradient's norm by which two computations on a GPU may differ.
TOLERANCE = 1e-2


class Trainer:
    """The encoder, its optimizer and its data, on this process's device.

    With `compiled` (on a GPU, where nothing else is said) the forward pass is compiled.
    With `verify_every` the gradient of one step in so many is computed twice. `ranks`
    are those of the ids, where a phase masks by them.
    """

    def __init__(
        self,
        settings: Settings,
        manifests: list[str],
        compiled: bool | None = None,
        verify_every: int = 0,
        ranks: np.ndarray | None = None,
    ) -> None:
        self.settings, self.verify_every = settings, verify_every
        self.ranks = ranks
        self.rank = int(os.environ.get("RANK", 0))
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        is_cuda = self.device.type == "cuda"
        if self.world > 1:
            dist.init_process_group(
                "nccl" if is_cuda else "gloo",
                device_id=self.device if is_cuda else None,
            )
        self.micro = settings.micro_batch
        if settings.batch % (self.micro * self.world):
            raise InputError(
                f"batch {settings.batch}: expected a multiple of micro_batch "
                f"{self.micro} x {self.world} processes"
            )
        self.kind = ours.of(settings)
        self.model = self.kind.Encoder(self.kind.EncoderConfig.of(settings))
        self.model.initialise(torch.Generator().manual_seed(settings.seed))
        self.model.to(self.device).train()
        keep_exact(self.model.config.dropout)
        self.names = dict(self.model.named_parameters())
        self.gradient = Gradient(self.model, self.world)
        numbers = settings.betas, settings.eps, settings.weight_decay
        if settings.optimizer == MUON:
            self.optimizer = Muon(self.names, *numbers)
        else:
            self.optimizer = AdamW(self.names.values(), *numbers)
        bases = kmers.window_bases(settings.tokens, settings.tokenization, settings.k)
        self.corpus = Corpus(
            manifests, bases, settings.held_out, settings.reverse_complement
        )
        self.autocast = autocast(settings.precision, self.device)
        is_compiled = is_cuda if compiled is None else compiled
        self.capacity = loader.capacity(settings) if is_compiled else 0
        self.compiled = self._losses
        if is_compiled:
            self.compiled = torch.compile(
                self._losses, backend=COMPILER, fullgraph=True, dynamic=False
            )
        self.loader = loader.Loader(
            settings, self.corpus, self.rank, self.world, self.capacity, ranks
        )
        self.origin: Origin | None = None
        self.kept: Tensor | None = None
        self.taken = 0
        self.pending: list[tuple[int, Tensor, Tensor]] = []

    def begin(self, folder: Path) -> None:
        """Take an encoder's weights in place of the random ones."""
        self.begun_with(origin.begin(self.model, folder, self.settings))

    def begun_with(self, begun: Origin | None) -> None:
        """Remember what training began with, and the positions to leave as they are."""
        self.origin = begun
        if begun is not None and begun.has_positions:
            position = self.model.position.weight.detach()
            self.kept = position[self.settings.tokens :].clone()

    def step(self, step: int, stop: bool = False) -> None:
        """Take one optimizer step; what it gave waits for `collect`.

        `stop` says that this process has been asked to stop. It is added over all
        processes with the losses, so that all learn of it after the same step.
        """
        settings, batches = self.settings, self.loader.get(step)
        is_verified = self.verify_every > 0 and step % self.verify_every == 0
        losses = self.learn_all(step, batches, is_apart=is_verified)
        if is_verified:
            self.verify(step)
            self.gradient.average()
        masked = sum(batch.masked for batch in batches)
        totals = torch.tensor([0.0, masked, stop], dtype=torch.float64)
        totals = totals.to(self.device, non_blocking=True)
        totals[0] = losses.sum()
        if self.world > 1:
            dist.all_reduce(totals)
        gradient = self.gradient.whole
        gradient /= totals[1].clamp(min=1.0) / self.world
        norm = gradient.norm()
        gradient *= (settings.clip / (norm + 1e-6)).clamp(max=1.0)
        self.optimizer.step(self.learning_rate(step))
        if self.kept is not None:  # no token has these positions, yet they decay
            self.model.position.weight.data[self.settings.tokens :] = self.kept
        gradient.zero_()
        self.taken += 1
        self.pending.append((step, torch.cat([totals, norm[None]]), losses))

    def learn_all(
        self, step: int, batches: list[loader.MicroBatch], is_apart: bool
    ) -> Tensor:
        """Add the gradient of a step's micro-batches; return the sums of losses.

        Then it is the mean over the processes, unless it is to stay apart.
        """
        losses = []
        for batch in batches:
            # Dropout has a seed of its own for each (seed, step, micro-batch).
            key = (self.settings.seed, step, batch.first // self.micro)
            number = int(np.random.SeedSequence(key).generate_state(1)[0])
            dropout.seed(number, self.device)
            with self.gradient.apart(is_apart or batch is not batches[-1]):
                losses.append(self.learn(batch, self.taken >= WARM_UP_STEPS))
        return torch.stack(losses).double()

    def verify(self, step: int) -> None:
        """Compute the step's gradient again, batches and all, and compare.

        A step follows from its number, so a CPU gives the same bits. A GPU adds up in
        any order: there the difference is to be small. Raises `InputError` where it is
        not: some processor or memory makes errors, which nothing else would show.
        Each process compares its own, so that the one that fails is on that machine.
        """
        gradient = self.gradient.whole
        first = gradient.clone()
        gradient.zero_()
        self.learn_all(step, self.loader.make(step), is_apart=True)
        difference = ((gradient - first).norm() / first.norm()).item()
        if self.device.type == "cuda":
            # what is no number is told by `collect`
            is_same = not difference > TOLERANCE
        else:
            is_same = torch.equal(first.view(torch.int32), gradient.view(torch.int32))
        if not is_same:
            raise InputError(
                f"step {step}: its gradient, computed twice, differs by "
                f"{difference:.1e} of its norm (verify_every): this machine makes "
                "errors; run again on another"
            )
        gradient.copy_(first)

    def learning_rate(self, step: int) -> float:
        """The rate of a step, from the encoder's total, however it is cut into jobs."""
        settings = self.settings
        return optimizer.learning_rate(
            settings.learning_rate, settings.warmup_steps, settings.steps, step
        )

    def collect(self) -> tuple[list[dict[str, float]], bool]:
        """What the steps since the last call add to the history, one by one.

        Returns too whether any process was asked to stop, so that all stop together.
        Raises `InputError` naming step and samples where a loss is no number.
        """
        pending, self.pending = self.pending, []
        if not pending:
            return [], False
        sums, stopped = [], False
        rows = torch.stack([totals for _, totals, _ in pending]).tolist()
        for (step, _, losses), row in zip(pending, rows, strict=True):
            loss, masked, stops, norm = row
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise InputError(self._no_number(step, loss, norm, losses))
            stopped |= stops > 0
            sums.append(
                {
                    "steps": 1,
                    "loss": loss,
                    "masked": masked,
                    "tokens": self.settings.batch * (self.settings.tokens - 2),
                    "gradient_norm": norm,
                }
            )
        return sums, stopped

    def _no_number(self, step: int, loss: float, norm: float, losses: Tensor) -> str:
        """Say where the first loss of this process lies that is no number."""
        wrong = (~losses.isfinite()).nonzero().flatten().tolist()
        if not wrong:
            return f"step {step}: loss {loss}, norm of the gradient {norm}: not finite"
        first = self.loader.firsts[wrong[0]]
        return (
            f"step {step}, samples {first} to {first + self.micro - 1}: "
            f"the loss is {losses[wrong[0]].item()}, expected a number"
        )

    def learn(self, batch: loader.MicroBatch, is_warm: bool = True) -> Tensor:
        """Add a micro-batch's gradient; return the sum of its losses (nats)."""
        if not self.capacity or len(batch.positions_P) <= self.capacity:
            loss = self.loss(batch, is_warm)
            self.gradient.add(loss)
            return loss.detach()
        # Uncompiled, a pass takes more memory. A run that is hours old must not end by
        # that: in two halves it takes less.
        total = torch.zeros((), device=self.device)
        halves = batch.halves()
        for half in halves:
            with self.gradient.apart(half is not halves[-1]):
                tensors = half.to(self.device).tensors
                loss = self.gradient.apply(self._losses, *tensors)
                self.gradient.add(loss)
            total += loss.detach()
        return total

    def loss(self, batch: loader.MicroBatch, is_warm: bool = True) -> Tensor:
        """Sum of the losses (nats) over the masked positions of a micro-batch."""
        tensors = batch.to(self.device).tensors
        if not self.capacity:
            return self.gradient.apply(self._losses, *tensors)
        stance = "fail_on_recompile" if is_warm else "default"
        with torch.compiler.set_stance(stance):
            return self.gradient.apply(self.compiled, *tensors)

    def _losses(
        self, inputs_MT: Tensor, positions_P: Tensor, targets_P: Tensor
    ) -> Tensor:
        with self.autocast:
            # The head's product with the vocabulary is the widest of all: it is
            # computed for the masked positions alone.
            logits = self.model.head(self.model(inputs_MT.int(), wanted=positions_P))
        return F.cross_entropy(
            logits.float(), targets_P, reduction="sum", ignore_index=loader.IGNORED
        )

    @torch.no_grad()
    def validate(self, settings: Settings, phase: Phase) -> float:
        """Mean loss in nats on the fixed windows, with masks fixed for this phase.

        `settings` are the encoder's, or such as mask otherwise.
        """
        windows = self.corpus.validation_windows(
            settings.seed, settings.validation_windows
        )
        ids = kmers.batch_ids(windows, settings.tokenization, settings.k)
        self.model.eval()
        total, masked = 0.0, 0
        for first in range(0, len(ids), self.micro):
            part = ids[first : first + self.micro]
            batch = loader.mask(
                settings, part, phase, VALIDATION_STEP, first, ranks=self.ranks
            )
            batch = batch.to(self.device)
            loss = self._losses(*batch.tensors)
            total, masked = total + loss.item(), masked + batch.masked
        self.model.train()
        return total / max(masked, 1)

    def flops_per_token(self) -> float:
        """Floating-point operations that training on one token takes."""
        share = masking.masked_share(self.settings)
        config = self.model.config
        return cost.training_flops(
            config, config.vocab_size, self.settings.tokens, share
        )

    def snapshot(self) -> dict[str, Tensor]:
        """Copies, in main memory, of all tensors that a checkpoint needs."""
        moments = self.optimizer.moments(self.names)
        return state.copies(self.model.state_dict(), moments)

    @torch.no_grad()
    def save_encoder(self, folder: Path) -> None:
        """Write the encoder as others use it.

        Where training sequences were shorter than the encoder's positions, those behind
        them are copies of the trained ones, unless others had trained them before.
        """
        if self.model.position is not None and self.kept is None:
            tokens, position = self.settings.tokens, self.model.position.weight
            position[tokens:] = bert.copied_positions(position, tokens)
        self.kind.save(self.model, folder)

    def restore(self, path: Path) -> dict:
        """Take weights and moments from a checkpoint; return the rest of it."""
        weights, moments, progress = state.read(path)
        try:
            self.model.load_state_dict(weights)
            self.optimizer.restore(self.names, moments, progress["step"])
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"{path}: another encoder's checkpoint ({error})"
            ) from None
        self.begun_with(Origin.of(progress))
        return progress

    def close(self) -> None:
        """End the loader's thread."""
        self.loader.close()
