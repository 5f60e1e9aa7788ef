"""One step of pretraining: the encoder, its optimizer and its batches on one device.

What a step does depends on its number alone: windows, masks and dropout are seeded by
it, learning rate and phase follow from it and the encoder's total.

Shapes: M sequences a micro-batch, n bases, T tokens.
"""

import math
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from randommask import checkpoint, curriculum, encoder, kmers, masking
from randommask.corpus import VALIDATION_STEP, Corpus
from randommask.errors import InputError

CAPACITY_STEP = 256  # the head works on a multiple of so many tokens


def batch_ids(settings: dict, codes: np.ndarray) -> np.ndarray:
    """`[CLS] k-mers [SEP]` of windows (M, n) uint8: (M, T) uint16."""
    step = kmers.stride(settings["tokenization"], settings["k"])
    tokens = kmers.kmer_ids(codes, settings["k"], step)
    ids = np.empty((len(tokens), settings["tokens"]), np.uint16)
    ids[:, 0], ids[:, 1:-1], ids[:, -1] = kmers.CLS, tokens, kmers.SEP
    return ids


class Trainer:
    """The encoder, its optimizer and its data, on this process's device."""

    def __init__(self, settings: dict, manifests: list[str]) -> None:
        self.settings = settings
        self.rank = int(os.environ.get("RANK", 0))
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        if self.world > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        self.model = encoder.Encoder(
            encoder.EncoderConfig(
                **settings["architecture"],
                k=settings["k"],
                tokenization=settings["tokenization"],
            )
        )
        self.model.initialise(torch.Generator().manual_seed(settings["seed"]))
        self.model.to(self.device).train()
        named = dict(self.model.named_parameters())
        self.names = {parameter: name for name, parameter in named.items()}
        # biases and norms are not decayed, as in BERT's and DNABERT's code
        decayed = [p for p in named.values() if p.ndim > 1]
        others = [p for p in named.values() if p.ndim == 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings["weight_decay"]},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=0.0,
            betas=tuple(settings["betas"]),
            eps=settings["eps"],
            fused=True,
        )
        bases = kmers.window_bases(
            settings["tokens"], settings["tokenization"], settings["k"]
        )
        self.corpus = Corpus(manifests, bases, settings["held_out"])
        self.autocast = autocast(settings["precision"], self.device)
        self.micro = settings["micro_batch"]
        if settings["batch"] % (self.micro * self.world):
            raise InputError(
                f"batch {settings['batch']}: expected a multiple of micro_batch "
                f"{self.micro} x {self.world} processes"
            )

    def step(self, step: int, stop: bool = False) -> tuple[dict[str, float], bool]:
        """Take one optimizer step; return what it adds to the history's sums.

        Returns too whether any process was asked to `stop`, so that all stop together.
        """
        settings = self.settings
        phase = settings["curriculum"][
            curriculum.phase_at(settings["curriculum"], step)
        ]
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        asked = 0
        micros = settings["batch"] // self.micro
        for micro in range(self.rank, micros, self.world):
            first = micro * self.micro
            codes = self.corpus.windows(settings["seed"], step, first, self.micro)
            ids = batch_ids(settings, codes)
            # dropout: a seed of its own for each (seed, step, micro-batch)
            torch.manual_seed(
                int(
                    np.random.SeedSequence(
                        (settings["seed"], step, micro)
                    ).generate_state(1)[0]
                )
            )
            loss, count = self.loss(ids, phase["max_span"], step, first)
            loss.backward()
            loss_sum += loss.detach()
            asked += count
        totals = torch.stack([loss_sum, *torch.tensor([asked, stop]).to(loss_sum)])
        gradients = [p.grad for p in self.names if p.grad is not None]
        if self.world > 1:
            dist.all_reduce(totals)
            for gradient in gradients:
                dist.all_reduce(gradient)
        loss_total, asked_total, stops = totals.tolist()
        if not math.isfinite(loss_total):
            raise InputError(
                f"step {step}: the loss is {loss_total}, expected a number"
            )
        torch._foreach_mul_(gradients, 1.0 / max(asked_total, 1.0))
        norm = torch.nn.utils.clip_grad_norm_(self.names, settings["clip"])
        for group in self.optimizer.param_groups:
            group["lr"] = curriculum.learning_rate(settings, step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        sums = {
            "steps": 1,
            "loss": loss_total,
            "asked": asked_total,
            "tokens": settings["batch"] * (settings["tokens"] - 2),
            "gradient_norm": norm.item(),
        }
        return sums, stops > 0

    def loss(
        self, ids: np.ndarray, max_span: int, step: int, first: int
    ) -> tuple[Tensor, int]:
        """Sum of the losses (nats) over the tokens asked in `ids`, and their number."""
        inputs, labels = masking.corrupt(
            ids,
            max_span,
            self.settings["seed"],
            step,
            first,
            **masking.options(self.settings, max_span),
        )
        labels = labels.reshape(-1)
        where = np.flatnonzero(labels >= 0)
        count = len(where)
        # few shapes, so that kernels are made once: fill up with tokens nothing asks
        spare = np.flatnonzero(labels < 0)[: -count % CAPACITY_STEP]
        where = np.concatenate([where, spare])
        targets = torch.from_numpy(labels[where].astype(np.int64)).to(self.device)
        inputs_MT = torch.from_numpy(inputs.astype(np.int64)).to(self.device)
        with self.autocast:
            hidden = self.model(inputs_MT).flatten(0, 1)
            # the head is the widest product: only where something is asked
            logits = self.model.head(hidden[torch.from_numpy(where).to(self.device)])
        return F.cross_entropy(logits.float(), targets, reduction="sum"), count

    @torch.no_grad()
    def validate(self, max_span: int) -> float:
        """Mean loss on the fixed windows, with masks fixed for each `max_span`."""
        settings = self.settings
        seed, count = settings["seed"], settings["validation_windows"]
        ids = batch_ids(settings, self.corpus.validation_windows(seed, count))
        self.model.eval()
        total, asked = 0.0, 0
        for first in range(0, count, self.micro):
            part = ids[first : first + self.micro]
            loss, number = self.loss(part, max_span, VALIDATION_STEP, first)
            total, asked = total + loss.item(), asked + number
        self.model.train()
        return total / max(asked, 1)

    def save(self, path: Path, state: dict) -> None:
        """Write a checkpoint to go on from."""
        moments = checkpoint.optimizer_moments(self.optimizer, self.names)
        checkpoint.save(path, self.model.state_dict(), moments, state)

    @torch.no_grad()
    def save_encoder(self, folder: Path) -> None:
        """Write the encoder as others use it.

        Where training sequences were shorter than the encoder's positions, those behind
        them are copies of the trained ones, as Longformer was started from RoBERTa
        (Beltagy et al. 2020, section 5); [CLS]'s and [SEP]'s places are not copied.
        """
        tokens, model = self.settings["tokens"], self.model
        behind = torch.arange(model.config.positions - tokens)
        trained = model.position.weight[1 + behind % (tokens - 2)]
        model.position.weight[tokens:] = trained
        encoder.save(model, folder)

    def restore(self, path: Path) -> dict:
        """Take weights and moments from a checkpoint; return its state."""
        weights, moments, state = checkpoint.load(path)
        try:
            self.model.load_state_dict(weights)
            checkpoint.restore_moments(
                self.optimizer, self.names, moments, state["step"]
            )
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"{path}: another encoder's checkpoint ({error})"
            ) from None
        return state


def autocast(precision: str, device: torch.device) -> torch.autocast | nullcontext:
    """bf16 where asked for and, with `auto`, where the hardware computes in it."""
    if precision == "auto":
        if device.type == "cuda":
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        else:
            fast = torch.cpu._is_avx512_bf16_supported()
            precision = "bf16" if fast else "fp32"
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
