"""What somebody watches while an encoder trains: speeds, TensorBoard, W&B.

Nothing here decides a result. `speed.csv` lies beside history.csv; TensorBoard's files
go to the folder that `--tensorboard` names; Weights & Biases is told where
WANDB_PROJECT is set and its package is installed.
"""

import csv
import os
import resource
import sys
import time
from pathlib import Path

import torch

from randommask.errors import InputError, reason

# Dense bf16 products, FLOP/s: NVIDIA's data sheets (without sparsity).
PEAKS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
QUEUE = 1000
COLUMNS = (
    "step",
    "seconds",
    "tokens_per_s",
    "utilisation",  # of the device's dense bf16 rate; empty where that is not known
    "memory_gib",  # the most so far: of the GPU, else of the process
    "loader_share",  # of the time, spent waiting for batches
    "gpus",  # that share the work, 0 on a CPU
)


def peak(name: str) -> float | None:
    """FLOP/s of a device by its name, the first that fits; None where unknown."""
    return next((rate for key, rate in PEAKS.items() if key in name), None)


class Monitor:
    """Tells the pace of a run; of several processes only the first has one.

    A step trains on `tokens`, each of `flops`; `world` processes share the work,
    `label` names the run, `done` steps were done before.
    """

    def __init__(
        self,
        path: Path,
        device: torch.device,
        tokens: int,
        flops: float,
        world: int,
        tensorboard: Path | None,
        label: str,
        done: int,
    ) -> None:
        self.path, self.device = path, device
        self.tokens, self.flops, self.done = tokens, flops, done
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        rate = peak(name)
        self.rate = rate and rate * world
        self.gpus = world if device.type == "cuda" else 0
        self.last, self.waited = time.monotonic(), 0.0
        self.board = self.wandb = None
        if tensorboard is not None:
            from tensorboardX import SummaryWriter

            # It writes in a thread, which a full disk ends: more room in its queue than
            # one row takes, so that training never waits for it.
            self.board = SummaryWriter(
                str(tensorboard), purge_step=done, max_queue=QUEUE
            )
        if project := os.environ.get("WANDB_PROJECT"):
            try:
                import wandb
            except ImportError:
                raise InputError(
                    "WANDB_PROJECT is set, but the package wandb is not installed"
                ) from None
            run = {"name": label, "id": label.replace("/", "-"), "resume": "allow"}
            self.wandb = wandb.init(project=project, **run)

    def tell(self, step: int, waited: float, row: dict) -> float:
        """Add a line to speed.csv; return the tokens/s since the line before.

        `step` steps are done, `waited` is the loader's time in all, and `row` holds
        further numbers to draw.
        """
        now = time.monotonic()
        seconds, waiting = now - self.last, waited - self.waited
        speed = (step - self.done) * self.tokens / seconds if seconds else 0.0
        self.last, self.waited, self.done = now, waited, step
        use = speed * self.flops / self.rate if self.rate else None
        line = {
            "step": step,
            "seconds": round(seconds, 3),
            "tokens_per_s": round(speed),
            "utilisation": "" if use is None else round(use, 4),
            "memory_gib": round(self._memory(), 3),
            "loader_share": round(waiting / seconds, 4) if seconds else 0.0,
            "gpus": self.gpus,
        }
        try:
            self._write(line)
        except OSError as error:
            print(f"warning: {reason(error)}", file=sys.stderr)
        numbers = {k: v for k, v in {**row, **line}.items() if v != "" and k != "step"}
        if self.board and not self.board.file_writer.event_writer._worker.is_alive():
            print("warning: TensorBoard's files end here", file=sys.stderr)
            self.board = None
        if self.board:
            for key, value in numbers.items():
                self.board.add_scalar(key, value, step)
        if self.wandb:
            self.wandb.log(numbers, step=step)
        return speed

    def _write(self, line: dict) -> None:
        is_new = not self.path.exists()
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(line)

    def _memory(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def close(self) -> None:
        """Write out what is buffered."""
        if self.board:
            self.board.close()
        if self.wandb:
            self.wandb.finish()
