"""The encoders that we pretrain: the module of each `kind` of architecture.

Each has `Encoder`, `EncoderConfig`, `save`, `read_config` and `load`.
"""

from pathlib import Path
from types import ModuleType

from randommask.encoders import bert, modern
from randommask.errors import InputError
from randommask.experiment.hparams import Initial, Settings
from randommask.experiment.sections import BERT, MODEL_TYPES, MODERN
from randommask.files import read_json

MODULES = {BERT: bert, MODERN: modern}


def of(told: Settings | Initial) -> ModuleType:
    """The module of the architecture that settings name."""
    return MODULES[told.architecture.kind]


def at(folder: str | Path) -> ModuleType:
    """The module of the encoder in `folder`; `InputError` where it is none of ours."""
    path = Path(folder) / "config.json"
    config = read_json(path)
    found = config.get("model_type") if isinstance(config, dict) else None
    for kind, name in MODEL_TYPES.items():
        if found == name:
            return MODULES[kind]
    known = " or ".join(MODEL_TYPES.values())
    raise InputError(f"{path}: model_type is {found!r}, expected {known}")
