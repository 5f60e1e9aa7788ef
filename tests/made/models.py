"""Small fine-tuned models."""

import numpy as np
import pyarrow.parquet as pq

from made.dataset import BASES, hparams, made, planted, tiny_encoder, write
from randommask.finetuning.__main__ import finetune


def tuned(root, data, **changes):
    """Fine-tune for an epoch; return the model's folder and the test predictions."""
    finetune(
        tiny_encoder(root / "encoder"),
        data,
        hparams(epochs=1, **changes),
        predictions_path=root / "predictions.parquet",
        model_path=root / "model",
    )
    table = pq.read_table(root / "predictions.parquet")
    names = [name for name in table.column_names if name[0] in "py"]
    return root / "model", names, np.stack([table[name] for name in names], axis=1)


def classifier(root):
    """Three classes, test rows of several lengths, more than one part and chunk."""
    data = made(root / "data", classes=3, rows=(64, 16, 16))
    sequences, labels = planted(5, 40, 3)
    sequences = [sequence[: BASES - row % 5] for row, sequence in enumerate(sequences)]
    write(data, {"test": (sequences, labels)}, classes=3)
    return sequences, *tuned(root, data)
