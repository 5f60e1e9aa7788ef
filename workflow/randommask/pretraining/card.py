"""The model card of a saved encoder: README.md in its folder, as Hugging Face reads it.

It says what the weights are, what made them, how to load them and what they are not
good for. Its bytes follow from what it is told: no time, no host, no path.
`randommask.report.release` adds the scores and the license.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import randommask
from randommask import kmers
from randommask.encoders import cost, ours
from randommask.encoders.bert import EncoderConfig
from randommask.experiment.encoders import phases_until
from randommask.experiment.finished import flat
from randommask.experiment.hparams import Settings
from randommask.experiment.sections import BERT, MODEL_TYPES, MODERN
from randommask.files import write_text
from randommask.pretraining.origin import Origin

FRONT = """\
---
library_name: transformers
pipeline_tag: fill-mask
license: unknown
tags:
- biology
- dna
- genomics
- {tag}
- randommask
---
"""

LOADING = """\
## How to load it

With transformers, of whose code alone it has need:

```python
from transformers import AutoModel, AutoTokenizer, {masked_lm}, pipeline

folder = "."  # this one; transformers takes its name on the hub too
dna = "{dna}"
tokenizer = AutoTokenizer.from_pretrained(folder)
inputs = tokenizer(dna, return_tensors="pt")
hidden = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state
logits = {masked_lm}.from_pretrained(folder)(**inputs).logits
guesses = pipeline("fill-mask", model=folder)(dna[:{before}] + "[MASK]" + dna[{after}:])
```

The tokenizer ({by}) cuts raw DNA into the k-mers it was
trained on, in upper or lower case, U as T; k-mers with spaces between them stay what
they are. {masking}
`AutoModel` calls the head over the vocabulary ({head}) unexpected, as it is a body
alone{pooler}.

The same by the program that made the weights, {program}. Have
the folder `workflow` of its repository in `PYTHONPATH`; on package indexes the name may
belong to others. After the lines above:

```python
import torch
from randommask import kmers
from randommask.encoders import {module}

ids = kmers.tokenize([dna], "{tokenization}", {k})
same_hidden = {module}.load(folder).eval()(torch.from_numpy(ids.astype("int64")))
```
"""

NAMES = {BERT: "A BERT", MODERN: "A modern (ModernBERT-like)"}
WORDS = {
    BERT: {
        "masked_lm": "BertForMaskedLM",
        "by": "`AutoTokenizer`, not `BertTokenizer`",
        "head": "`cls.`",
        "pooler": ", and a pooler missing, which was never trained",
    },
    MODERN: {
        "masked_lm": "ModernBertForMaskedLM",
        "by": "`AutoTokenizer`",
        "head": "`head.` and `decoder.`",
        "pooler": "",
    },
}

LICENSE = """\
## License

The head of this card names the license of the weights, which whoever trained them has
chosen; `unknown` says that none was, and gives no permission. The program that made
them is under the MIT license, which says nothing of the weights. Mind the terms of the
genomes.
"""


def write(
    folder: str | Path,
    *,
    encoder: str | None,
    settings: Settings,
    step: int,
    sources: Sequence[tuple[str, str, str]],
    origin: Origin | None = None,
) -> None:
    """Write README.md beside the weights that `settings` gave after `step` steps.

    Phases that begin later are left out. `encoder` is the name in the config; `sources`
    are (genome, file, sha256) of what the corpus was made from, as in its manifests;
    `origin` the weights that it began with, None where they were random.
    """
    *whole, last = phases_until(settings.curriculum, max(step, 1))
    cut = last.model_copy(update={"until": step})  # also at 0, where no phase can end
    settings = settings.model_copy(update={"curriculum": (*whole, cut)})
    kind = settings.architecture.kind
    config = ours.of(settings).EncoderConfig.of(settings)
    loading = LOADING.format(
        dna="ACGTTGCATGACCTGATTACG",
        k=config.k,
        tokenization=config.tokenization,
        program=randommask.program(),
        module=kind,
        **_masked(config.k, config.tokenization),
        **WORDS[kind],
    )
    parts = [
        _heading(encoder, config, settings, step),
        _recipe(settings),
        _data(settings, sources),
        *([_start(origin)] if origin else []),
        loading,
        _limits(config, settings, step, origin),
        LICENSE,
    ]
    front = FRONT.format(tag=MODEL_TYPES[kind])
    write_text(Path(folder) / "README.md", front + "\n" + "\n".join(parts))


def _masked(k: int, tokenization: str) -> dict[str, Any]:
    """How to write a text whose third k-mer is masked, and what is to know of it."""
    if tokenization == kmers.OVERLAPPING:
        said = f"Left and right of a [MASK] stand whole {k}-mers, as in the example."
        return {"before": k + 1, "after": 3, "masking": said}
    said = f"A [MASK] stands for {k} bases."
    return {"before": 2 * k, "after": 3 * k, "masking": said}


def _heading(
    encoder: str | None, config: EncoderConfig, settings: Settings, step: int
) -> str:
    done = f"{step:,} of {settings.steps:,} steps"
    what = NAMES[settings.architecture.kind]
    return f"""\
# {encoder or "A DNA encoder"}

{what} encoder of DNA, pretrained by masked k-mer prediction for {done}
(seed {settings.seed}) with `randommask` {randommask.__version__}, which reproduces
"Rethinking the BERT-like Pretraining for DNA Sequences" (arXiv 2310.07644).

| | |
|---|---|
| tokens | {config.tokenization} {config.k}-mers, vocabulary {config.vocab_size:,} |
| layers x hidden units | {config.layers} x {config.hidden} |
| attention heads | {config.heads} |
| feed-forward units | {config.feed_forward:,} |
| positions | {config.positions:,}, trained on {settings.tokens:,} |
| weights | {cost.parameters(config, config.vocab_size):,} |
"""


def _recipe(settings: Settings) -> str:
    table = _table(("setting", "value"), flat(settings.values()))
    return f"## Recipe\n\nThe settings of its pretraining.\n\n{table}"


def _data(settings: Settings, sources: Sequence[tuple[str, str, str]]) -> str:
    held_out = ", ".join(settings.held_out) or "nothing"
    table = _table(("genome", "file", "SHA-256"), sources)
    return f"## Data\n\nHeld out of training: {held_out}.\n\n{table}"


def _start(origin: Origin) -> str:
    head = "went on too" if origin.has_head else "began at random, as they had none"
    return f"""\
## Start

It began with the weights of `{origin.name}` (model.safetensors of SHA-256
`{origin.sha256}`), with a fresh
optimizer and the schedule above; the head over the vocabulary {head}.
What they had learnt, and from which DNA, is in it too.
"""


def _table(header: tuple[str, ...], rows: Iterable[tuple]) -> str:
    lines = [header, ("---",) * len(header), *(map(_shown, row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("|", "\\|")


def _limits(
    config: EncoderConfig, settings: Settings, step: int, origin: Origin | None
) -> str:
    limits = [
        f"A sequence has at most {config.positions:,} tokens, two of them specials.",
        "Training saw A, C, G and T alone; a k-mer with any other letter is [UNK].",
        "Nothing in it was checked for use on patients.",
    ]
    is_bert = settings.architecture.kind == BERT
    if is_bert:
        limits.insert(2, "BERT's pooler was not trained: leave `pooler_output` alone.")
    if settings.tokens < config.positions and not is_bert:
        text = f"In training no sequence had more than {settings.tokens:,} tokens."
        limits.insert(1, text)
    elif settings.tokens < config.positions:
        kept = origin is not None and origin.has_positions
        said = f"as `{origin.name}` had them" if kept else "copies of trained ones"
        text = f"Positions from {settings.tokens:,} on are {said}."
        limits.insert(1, text)
    if origin or not settings.held_out:
        text = "Its training DNA may hold the sequences of a benchmark, unlabelled."
        limits.append(text)
    if step < settings.steps:
        text = "Taken before the end of training: its learning rate had yet to fall."
        limits.append(text)
    return "## Limits\n\n" + "".join(f"- {limit}\n" for limit in limits)
