"""Where the time of a pretraining step goes on a GPU: one Markdown table.

    PYTHONPATH=workflow python bench/gpu_kernels.py [--micro-batch 64]

The 25 longest kernels of one of our steps, as `gpu_pretraining` takes it, by the time
that the device spends in them. `--tiny` rehearses on any machine.
"""

import argparse

from gpu_pretraining import CUDA, make_settings, random_corpus, show
from torch.profiler import DeviceType, ProfilerActivity, profile

from randommask.pretraining.trainer import Trainer


def kernels(manifest: str, tiny: bool, micro: int) -> None:
    """Print the table."""
    run = Trainer(make_settings(tiny, micro, 0.1), [manifest], compiled=True)
    for step in range(3):
        run.step(step)
    run.collect()
    activities = [ProfilerActivity.CUDA if CUDA else ProfilerActivity.CPU]
    with profile(activities=activities) as profiled:
        run.step(3)
        run.collect()
    run.close()
    kind = DeviceType.CUDA if CUDA else DeviceType.CPU
    taken = [
        (event.self_device_time_total if CUDA else event.self_cpu_time_total, event)
        for event in profiled.key_averages()
        if event.device_type == kind and not event.is_user_annotation
    ]
    whole = sum(spent for spent, _ in taken)
    show(("kernel", "calls a step", "ms a step", "share"))
    show(["---"] * 4)
    for spent, event in sorted(taken, key=lambda pair: -pair[0])[:25]:
        name = event.key.replace("|", "/")[:90]
        share = f"{spent / whole:.1%}"
        show((name, str(event.count), f"{spent / 1000:.2f}", share))
    show(
        ("all", str(sum(event.count for _, event in taken)), f"{whole / 1000:.2f}", "")
    )


def main(argv: list[str] | None = None) -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--micro-batch", type=int, default=64)
    parser.add_argument("--tiny", action="store_true")
    flags = parser.parse_args(argv)
    if not (CUDA or flags.tiny):
        print("No CUDA device: not measured.")
        return
    with random_corpus() as manifest:
        kernels(manifest, flags.tiny, flags.micro_batch)


if __name__ == "__main__":
    main()
