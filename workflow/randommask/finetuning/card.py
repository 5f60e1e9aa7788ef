"""The model card of a fine-tuned model: README.md in its folder.

It says what the model answers, how it was made, what it scored, and how to ask it. Its
bytes follow from what it is told: no time, no host, no path.
"""

from pathlib import Path
from typing import Any

import randommask
from randommask import metrics
from randommask.encoders.pooling import CLS, MEAN
from randommask.files import write_text
from randommask.finetuning.purpose import Purpose

FRONT = """\
---
{library}license: unknown
tags:
- biology
- dna
- genomics
- randommask
---
"""

LIBRARY = "library_name: transformers\npipeline_tag: text-classification\n"

BODY = """\
# {encoder}, fine-tuned on {dataset}

An encoder of DNA with a linear head on {features}, fine-tuned with `randommask`
{version} (seed {seed}). `task.json` says what it is for.

| | |
|---|---|
| answers | {answers} |
| tokens | {tokenization} |
| longest sequence | {bases:,} bases |
| {metric} on dev, test | {dev}, {test} |

## How to ask it

By the program that made it, {program}:

    python -m randommask.predict --model . --fasta my.fa --output predictions.tsv

{loading}
## Limits

- A longer sequence is cut into windows by `randommask.predict`, and by nothing else.
- Letters other than A, C, G, T and U count as unknown.
- Nothing in it was checked for use on patients.

## License

`unknown` in the head of this card says that whoever trained the weights has chosen
none; it gives no permission.
"""

PIPELINE = """\
With transformers, of whose code alone it has need; the tokenizer cuts raw DNA, in upper
or lower case:

```python
from transformers import pipeline

ask = pipeline("text-classification", model="."{function})
answers = ask("ACGTTGCATGACCTGA", top_k=None)
```

It computes in float32; `randommask.predict` in {precision}, as the training did.
"""

NO_CLASS = """\
transformers has no class with such a head, so this folder holds none for it:
`AutoModelForSequenceClassification` would draw a new one at random. The head is
`head.safetensors`. {body}
"""
BODY_LOADS = "The encoder itself loads there as any other, and its tokenizer too."
NO_BODY = "The tokenizer loads there; the encoder is no architecture of transformers."


def write(
    folder: str | Path,
    purpose: Purpose,
    report: dict[str, Any],
    *,
    is_classifier: bool,
    has_body: bool,
) -> None:
    """Write README.md into a model's folder; `report` is its run's metrics.json.

    `is_classifier` says whether transformers has a class that loads it, `has_body`
    whether it has one of the encoder alone.
    """
    is_mean = report["settings"].get("pooling", CLS) == MEAN
    if is_classifier:
        is_value = purpose.type == metrics.REGRESSION
        function = ', function_to_apply="none"' if is_value else ""
        loading = PIPELINE.format(function=function, precision=purpose.precision)
    else:
        loading = NO_CLASS.format(body=BODY_LOADS if has_body else NO_BODY)
    metric = report["metric"]
    text = BODY.format(
        encoder=report["encoder"],
        dataset=purpose.dataset,
        features=_features(has_body, is_mean),
        version=randommask.__version__,
        seed=report["seed"],
        answers=_answers(purpose),
        tokenization=purpose.tokenization,
        bases=purpose.window_bases,
        metric=metric,
        dev=_shown(report["dev"][metric]),
        test=_shown(report["score"]),
        program=randommask.program(),
        loading=loading,
    )
    front = FRONT.format(library=LIBRARY if is_classifier else "")
    write_text(Path(folder) / "README.md", front + "\n" + text)


def _features(has_body: bool, is_mean: bool) -> str:
    if is_mean:
        return "the mean over the tokens"
    return "the first token" if has_body else "its features"


def _answers(purpose: Purpose) -> str:
    if purpose.type == metrics.CLASSIFICATION:
        return f"probabilities of the classes 0 to {purpose.classes - 1}"
    if purpose.type == metrics.MULTILABEL:
        return f"probabilities of {', '.join(purpose.targets)}, each for itself"
    return f"values of {', '.join(purpose.targets)}, in their own units"


def _shown(score: float | None) -> str:
    return "undefined" if score is None else f"{score:.4f}"
