"""The families of encoders that fine-tuning knows, one module each.

`model_type` in an encoder's config.json chooses the module. Each has

- `TOKENIZATIONS`: the tokenizations its encoders read,
- `read_config(folder)`: sizes, and `positions` (tokens, specials among them), `k`
  (bases of a token), `pad` (id), `dropout`,
- `tokenize(sequences, tokenization, config)`: ids (N, T) int16, padded, and the tokens
  of each row (N,), padding not counted,
- `load(folder, dropout)`: a torch module with `config` and `features(ids_BT, keep_BT)`,
  the (B, H) that a head sits on, `keep_BT` False at padding; what fine-tuning has no
  use for is frozen; and with `states(ids_BT, keep_BT)`, the last hidden states
  (B, T, H), `layers`, and `specials`, the ids of tokens that stand for no bases,
- `save(model, folder)`: the same folder again,
- `from_released(weights, config, source)`: config.json and weights as `load` wants
  them, from published ones,

and where they apply: `LORA_TARGETS`, the linear layers that adapters are put on, by
name; `vocabulary(k)`, its words, `WORD_WEIGHTS`, what has a row a word, and
`FIXED_WORDS`, which cannot change places; `BODY`, the class of transformers with this
architecture, `CLASSIFIER`, the one that classifies sequences with it, and
`classifier_weights`; `HEAD`, what the names of weights begin with that neither has;
`write_tokenizer(folder, config, tokenization)`, the files by which transformers reads
raw DNA so; `FILES`, what else `load` reads from a folder; `check(config, source)`,
whether a published config.json can be read, where model_type alone does not say so;
`most_tokens(bases, config)`, where sequences of one length differ in tokens;
`POOLINGS`, what `features` takes as its third argument: `cls`, the last hidden state of
a token before the sequence, or `mean`, that over the sequence's own tokens, without
specials and padding. A family that does not name them has one way, whatever is asked:
HyenaDNA the mean, for it has no such token.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from randommask import kmers
from randommask.errors import InputError
from randommask.experiment.encoders import FAMILIES
from randommask.files import read_json

# The module that reads each model_type; one's own serves that of its own name.
MODULES = {"bert": "bert", "modernbert": "modern", "esm": "esm", "hyenadna": "hyena"}
MODULES |= {name: name for name in FAMILIES if name not in MODULES.values()}
MARK = "read_as"
"""The key of config.json whose `family` counts, whatever transformers calls it."""
NEEDED = ("TOKENIZATIONS", "read_config", "tokenize", "load", "save", "from_released")
# Small inputs pass tanh almost unchanged: tanh(x / 4096) * 4096 is x, to 6e-6 of it up
# to |x| = 17. A power of two rounds nothing when it scales.
SMALL = 2.0**-12


def of(folder: str | Path) -> ModuleType:
    """The module for the encoder in `folder`; `InputError` where there is none."""
    return named(model_type(folder), Path(folder) / "config.json")


def model_type(folder: str | Path) -> str:
    """What config.json in `folder` says that the encoder is."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected an encoder")
    if not (folder / "config.json").exists():
        inside = sorted(path.parent.name for path in folder.glob("*/config.json"))
        if inside:
            names = ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "")
            raise InputError(
                f"{folder}: a folder of encoders, expected one of them: {names}"
            )
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        return None
    mark = config.get(MARK)
    said = mark.get("family") if isinstance(mark, dict) else None
    return said or config.get("model_type")


def named(kind: str | None, source: str | Path) -> ModuleType:
    """The module for a `model_type`, which `source` names."""
    if kind not in MODULES:
        known = ", ".join(MODULES)
        raise InputError(f"{source}: model_type is {kind!r}, expected one of {known}")
    module = import_module(f"{__name__}.{MODULES[kind]}")
    for name in NEEDED:
        if not hasattr(module, name):
            raise InputError(f"{module.__file__}: no {name}, which a family has")
    return module


def bases_of_token(
    config: Mapping[str, Any], other_words: int, source: str | Path
) -> int:
    """The k of a vocabulary of all k-mers and `other_words` words."""
    size = config.get("vocab_size")
    for k in range(1, kmers.MAX_K + 1):
        if size == 4**k + other_words:
            return k
    raise InputError(
        f"{source}/config.json: vocab_size is {size}, expected 4**k + {other_words} "
        f"for a k from 1 to {kmers.MAX_K}"
    )


def tanh_head(
    weight_OH: Tensor, bias_O: Tensor, inner: str, outer: str
) -> dict[str, Tensor]:
    """A linear head as `outer(tanh(inner(x)))`, the form transformers' heads have.

    The inner layer scales by `SMALL`, where tanh is straight, and the outer one back.
    """
    hidden = weight_OH.shape[1]
    return {
        f"{inner}.weight": SMALL * torch.eye(hidden),
        f"{inner}.bias": torch.zeros(hidden),
        f"{outer}.weight": weight_OH / SMALL,
        f"{outer}.bias": bias_O.clone(),
    }
