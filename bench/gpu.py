"""All that is to be measured on a GPU, within eight minutes: Markdown, as it comes.

    PYTHONPATH=workflow python bench/gpu.py [--seconds 480]      (`make bench-gpu`)

Runs the programs `bench/gpu_*.py` one after the other, each for its share of the time
and what those before have left. What they print is passed on at once, so that a run
that is cut short leaves what it has. Nothing is downloaded. `--tiny` rehearses it.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

SHARES = {  # of the time, in this order; a program stops before a row that may not fit
    "gpu_pretraining": 0.30,
    "gpu_finetuning": 0.32,
    "gpu_kernels": 0.08,
    "gpu_variants": 0.30,
}
SPARE = 10.0  # seconds kept for starts and ends
UNHURRIED = ("gpu_kernels",)  # which have no --budget


def machine() -> str:
    """What is measured, in a line."""
    device = "no CUDA device"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{device}; {versions}, CUDA {torch.version.cuda}"


def measure(program: str, end: float, flags: list[str]) -> None:
    """Run one program, to the `end` at the latest; it has a budget up to there."""
    command = [sys.executable, str(Path(__file__).with_name(f"{program}.py")), *flags]
    if program not in UNHURRIED:
        command += ["--budget", f"{end - time.monotonic():.0f}"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    started = subprocess.Popen(command, start_new_session=True, env=offline)
    try:
        status = started.wait(max(1.0, end - time.monotonic()))
        if status:
            print(f"{program}: exit status {status}", file=sys.stderr)
    except subprocess.TimeoutExpired:
        print(f"{program}: stopped, as the time is over", file=sys.stderr)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)  # its workers, too
            started.wait()


def main(argv: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=480.0, help="in all")
    parser.add_argument("--tiny", action="store_true")
    flags = parser.parse_args(argv)
    if not (torch.cuda.is_available() or flags.tiny):
        print("No CUDA device: not measured.")
        return
    begun = time.monotonic()
    end, whole = begun, flags.seconds - SPARE
    print(f"# On a GPU\n\n{machine()}", flush=True)
    for program, share in SHARES.items():
        end += share * whole
        print(f"\n## {program}\n", flush=True)
        measure(program, end, ["--tiny"] if flags.tiny else [])
    print(f"\n{time.monotonic() - begun:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
