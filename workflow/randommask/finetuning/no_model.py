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

from pathlib import Path

from randommask.data import shortcuts
from randommask.data.alike import Alike
from randommask.errors import run
from randommask.experiment.hparams import NoModelRun
from randommask.finetuning import control, examples
from randommask.finetuning.outputs import Clock

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
    clock = Clock()
    paths = {
        "metrics": metrics_path,
        "predictions": predictions_path,
        "history": history_path,
    }
    data = examples.read(folder, settings)
    alike = Alike({name: split.sequences for name, split in data.splits.items()})
    tried = list(shortcuts.rules(data.type, data.splits, data.classes, alike))
    best = shortcuts.best(tried)
    names = ("rule", f"dev_{settings.metric}")
    control.write(
        paths,
        data,
        settings,
        dev=best.predictions["dev"],
        test=best.predictions["test"],
        tried=(names, [(rule.name, rule.dev) for rule in tried]),
        packages=VERSIONED,
        clock=clock,
        architecture={"rule": best.name},
        device="cpu",
        precision="fp64",
        threads=1,
    )


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fit."""
    control.command(__doc__, NoModelRun, fit, argv)


if __name__ == "__main__":
    run(main)
