"""What is survived of kills, flipped bits, full disks and bad input: a Markdown table.

    PYTHONPATH=workflow:tests python bench/reliability.py [--tries N]

A tiny encoder is pretrained and fine-tuned on one thread of a CPU. Kills come before an
operation on files (open to write, rename, link, unlink, fsync, ...), at N of them or,
with 0, at each. The output is deleted as Snakemake deletes it, the same command is run
again, and it survived if all files have the bits of a run that nobody killed; at the
end of a segment and of a fine-tuning, only if it did not begin at step zero. A flipped
bit survived if it was told of, or the outputs are those without it.

Full disks, servers that send what they should not and spoilt inputs of every reader are
tried by tests, each of which is told of; here they are run and counted.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from made.dataset import hparams, made, tiny_encoder
from made.genome import random_corpus, segment
from made.kills import begin_at, contents, in_child, killed, operations

from randommask import files
from randommask.data import manifest
from randommask.encoders import bert
from randommask.errors import InputError
from randommask.finetuning import __main__ as finetuning
from randommask.finetuning import examples, results
from randommask.pretraining import __main__ as pretraining
from randommask.pretraining.segment import Segment
from randommask.training import state

FLIPS = 20
SPOILT = 500  # inputs of each reader
ROOT = Path(__file__).parents[1]


def some(count: int, tries: int) -> Iterable[int]:
    """Which of so many operations: evenly, the first and the last among them."""
    if not tries or tries >= count:
        return range(1, count + 1)
    return sorted({1 + round(n * (count - 1) / (tries - 1)) for n in range(tries)})


def kills(
    folder: Path,
    work: Callable,
    again: Callable,
    tries: int,
    goes_on: bool,
    delete: Callable = files.remove,
) -> tuple[int, int]:
    """Tries and survivals of `work(kill, output)`, done again by `again(output)`.

    With `goes_on` not from step zero; `delete(output)` is what Snakemake does.
    """
    whole = folder / "whole" / "made" / "step-12"
    count = operations(lambda kill: work(kill, whole), folder)
    expected, survived, chosen = contents(whole), 0, list(some(count, tries))
    for number in chosen:
        output, said = folder / str(number) / "made" / "step-12", folder / "said"
        assert killed(lambda kill, to=output: work(kill, to), number) == -9
        delete(output)
        status = in_child(lambda to=output: again(to), said)
        text = said.read_text()
        kept = "going on from" in text or "finished before" in text
        same = status == 0 and contents(output) == expected
        survived += same and (kept or not goes_on)
        files.remove(folder / str(number))
    return len(chosen), survived


def pretrain_killed(folder: Path, corpus: str, where: str | None, tries: int) -> tuple:
    """Kill a segment from the call of a method on, or from the beginning."""

    def run(output: Path, **options: int) -> None:
        pretraining.pretrain([corpus], None, segment(), output, **options)

    def work(kill: Callable, output: Path) -> None:
        begin_at(kill, Segment, where) if where else kill.begin()
        run(output, save_steps=1)

    return kills(folder, work, run, tries, where == "finish")


def finetune_killed(
    folder: Path, encoder: Path, data: Path, tries: int, **changes: object
) -> tuple:
    """Kill a fine-tuning from the first output on; `changes` are to its settings."""

    def run(output: Path, save_seconds: float = 60.0) -> None:
        finetuning.finetune(
            encoder,
            data,
            hparams(epochs=1, **changes),
            metrics_path=output / "metrics.json",
            predictions_path=output / "predictions.parquet",
            model_path=output / "model",
            save_seconds=save_seconds,
        )

    def work(kill: Callable, output: Path) -> None:
        begin_at(kill, results, "write")
        run(output, save_seconds=0.0)

    def delete(output: Path) -> None:
        for path in output.iterdir():
            if path.name != ".state":
                files.remove(path)

    return kills(folder, work, run, tries, True, delete)


def flips(path: Path, use: Callable[[], object]) -> tuple[int, int]:
    """Flip bits of a file, one at a time; `use` gives what it then comes to."""
    whole, expected, survived = path.read_bytes(), use(), 0
    for position in random.Random(0).sample(range(8 * len(whole)), FLIPS):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        try:
            survived += use() == expected
        except InputError:
            survived += 1
    path.write_bytes(whole)
    return FLIPS, survived


def flipped(folder: Path, corpus: str, encoder: Path, data: Path) -> Iterable[tuple]:
    """Kind of file, tries, survivals."""
    first = folder / "made" / "step-6"
    half = segment(end=6, curriculum=[{"until": 6, "max_span": 4}])
    pretraining.pretrain([corpus], None, half, first, save_steps=2)
    trained = folder / "made" / "step-12"

    def second() -> dict:
        files.remove(folder / "made" / ".state")
        files.remove(trained)
        pretraining.pretrain([corpus], first, segment(start=6), trained)
        return contents(trained)

    yield "flipped bit: state handed on", *flips(first / state.STATE_FILE, second)
    shard = Path(corpus).with_name("chr1.npy")

    def verified() -> None:
        files.remove(shard.with_name(manifest.VERIFIED))
        manifest.verify(corpus)

    yield "flipped bit: shard", *flips(shard, verified)
    for name in ("model.safetensors", "config.json"):
        yield (
            f"flipped bit: encoder, {name}",
            *flips(
                encoder / name,
                lambda: state.digest(bert.load(encoder).state_dict()),
            ),
        )
    yield "flipped bit: rolling checkpoint", *_rolling(folder, corpus)
    rows, run = data / "train.parquet", hparams()
    read = flips(rows, lambda: examples.read(data, run).splits["train"].sequences)
    yield "flipped bit: prepared rows, parquet", *read


def tested(kind: str, *flags: str) -> tuple[str, int, int]:
    """Run tests that try one fault each: how many, and how many passed."""
    said = _pytest("-rN", *flags)
    numbers = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed)", said)}
    if not numbers:
        raise InputError(f"{kind}: no test ran: {said[-200:]!r}")
    passed = numbers.get("passed", 0)
    return kind, passed + numbers.get("failed", 0), passed


def fuzzed() -> Iterable[tuple[str, int, int]]:
    """Spoilt inputs of each reader: a failing reader has survived none."""
    table = re.findall(
        r"^\| (\w+) \| ([\d,]+) \| [\d,]+ \| (\d) \|", _pytest("tests/fuzz"), re.M
    )
    for reader, tries, failed in table:
        count = int(tries.replace(",", ""))
        yield (
            f"spoilt input: {reader.replace('_', ' ')}",
            count,
            count * (failed == "0"),
        )


def _pytest(*flags: str) -> str:
    command = [sys.executable, "-m", "pytest", *flags]
    environment = {"FUZZ_EXAMPLES": str(SPOILT)} | os.environ
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    return done.stdout


def _rolling(folder: Path, corpus: str) -> tuple[int, int]:
    """Flip bits of the newest checkpoint of a run that was killed."""
    output = folder / "rolling" / "made" / "step-12"

    def work(kill: Callable) -> None:
        begin_at(kill, Segment, "finish")
        pretraining.pretrain([corpus], None, segment(), output, save_steps=5)

    assert killed(work, 1) == -9
    kept = shutil.copytree(output.parent, folder / "kept")
    [name] = [path.relative_to(kept) for path in kept.glob(".state/*/rolling-10.*")]

    def again() -> dict:
        files.remove(output.parent)
        shutil.copytree(kept, output.parent)
        pretraining.pretrain([corpus], None, segment(), output)
        return contents(output)

    return flips(kept / name, again)


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=0, help="of each kill; 0: all")
    tries = parser.parse_args(argv).tries
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name, redirect_stderr(StringIO()):
        folder = Path(name)
        corpus = random_corpus(folder / "corpus")
        manifest.verify(corpus)  # once, or the first run had more operations
        encoder, data = tiny_encoder(folder / "encoder"), made(folder / "data")
        for kind, where in (
            ("kill: pretraining, anywhere", None),
            ("kill: a milestone, and what follows", "keep_milestone"),
            ("kill: the end of a segment", "finish"),
        ):
            part = folder / str(where)
            part.mkdir()
            rows.append((kind, *pretrain_killed(part, corpus, where, tries)))
        lora = {"rank": 2, "alpha": 4, "dropout": 0.0}
        for kind, changes in (
            ("fine-tuning", {}),
            ("fine-tuning, LoRA", {"lora": lora}),
        ):
            part = folder / kind
            part.mkdir()
            done = finetune_killed(part, encoder, data, tries, **changes)
            rows.append((f"kill: the end of a {kind}", *done))
        rows += flipped(folder, corpus, encoder, data)
    rows.append(tested("full disk, at any byte", "tests/test_full_disk.py"))
    rows.append(tested("server that is hostile", "tests/data/test_hostile.py"))
    rows += fuzzed()
    print("| kind of fault | tries | survived |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
