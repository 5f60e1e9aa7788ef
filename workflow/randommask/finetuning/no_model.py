"""The row without a model: how much of a data set rules can solve that know no DNA.

    python -m randommask.finetuning.no_model --data results/benchmark/TF-M-0 \
        --hparams '{"encoder": "no-model", "tokenization": "character",
                    "dataset": "TF-M-0", "task": "TF-M", "metric": "mcc", "seed": 1}' \
        --metrics metrics.json --predictions predictions.parquet --history history.csv

The rules are those of `randommask.data.shortcuts`: the label of a copy, the opposite of
a shuffle partner's, length, GC, composition, letters by position. They are fitted on
train; the one that is best on dev predicts test, where labels of dev count as known.
What an encoder scores above that row, it may have learnt of DNA.

Nothing is drawn at random: the seed only names the run, and all seeds are equal.
The files are those of `randommask.finetuning`; history.csv has a line a rule.
"""

import argparse
import time
from pathlib import Path

from randommask import files
from randommask.data import shortcuts
from randommask.data.alike import Alike
from randommask.errors import run
from randommask.experiment.hparams import NoModelRun
from randommask.finetuning import examples, outputs

VERSIONED = ("numpy", "pyarrow", "scipy")


def fit(
    folder: str | Path,
    settings: NoModelRun,
    *,
    metrics_path: str | Path | None = None,
    predictions_path: str | Path | None = None,
    history_path: str | Path | None = None,
) -> None:
    """Choose, predict and write; `InputError` for a data set that is not as told."""
    start = time.perf_counter()
    for path in (metrics_path, predictions_path, history_path):
        files.check_file(path)
    data = examples.read(folder, settings)
    alike = Alike({name: split.sequences for name, split in data.splits.items()})
    tried = list(shortcuts.rules(data.type, data.splits, data.classes, alike))
    best = shortcuts.best(tried)
    if predictions_path:
        outputs.write_predictions(predictions_path, data, best.predictions["test"])
    if history_path:
        names = ("rule", f"dev_{settings.metric}")
        lines = [(rule.name, rule.dev) for rule in tried]
        outputs.write_history(history_path, names, lines)
    if metrics_path:
        report = outputs.report(
            data,
            settings,
            best.predictions["dev"],
            best.predictions["test"],
            VERSIONED,
            best_epoch=None,
            architecture={"rule": best.name},
            device="cpu",
            precision="fp64",
            threads=1,
            seconds=round(time.perf_counter() - start, 2),
        )
        files.write_json(metrics_path, report)


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--hparams", required=True, help="JSON: see NoModelRun")
    parser.add_argument("--metrics", help="JSON to write")
    parser.add_argument("--predictions", help="parquet to write")
    parser.add_argument("--history", help="csv to write, a line a rule")
    flags = parser.parse_args(argv)
    fit(
        flags.data,
        NoModelRun.parse(flags.hparams),
        metrics_path=flags.metrics,
        predictions_path=flags.predictions,
        history_path=flags.history,
    )


if __name__ == "__main__":
    run(main)
