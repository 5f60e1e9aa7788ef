"""The settings of a fine-tuning: what they may be, and how they come in as JSON."""

from dataclasses import MISSING, dataclass, fields

from randommask import kmers, metrics
from randommask.errors import InputError
from randommask.experiment.hparams import read_object
from randommask.finetuning.lora import Lora

CHARACTER = "character"
_COUNTS = (("seed", 0), ("epochs", 1), ("batch_size", 1), ("warmup_steps", 0))
_OPTIONAL_COUNTS = ("max_steps", "patience")


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of a run; raises `InputError` for what makes no sense."""

    encoder: str
    tokenization: str
    """One of those that the encoder's family knows."""
    dataset: str
    task: str
    metric: str
    """`mcc` or `pearson`, as the dataset's type asks: on dev it chooses the epoch."""
    seed: int
    """Of the head's first weights, the order of the rows, and dropout."""
    epochs: int
    batch_size: int
    """Rows of an optimizer step on any hardware; an epoch's last may have fewer."""
    learning_rate: float
    """At the end of the warm-up; from there linearly to 0."""
    warmup_steps: int
    weight_decay: float
    """AdamW's, of the matrices; biases and norms are not decayed."""
    betas: tuple[float, float]
    eps: float
    clip: float
    """The longest that the gradient, all weights together, may be."""
    dropout: float
    """Everywhere in the encoder, and before the head."""
    precision: str
    """`fp32`, `bf16`, or `auto`: bf16 where the hardware computes in it."""
    max_steps: int | None = None
    """Steps in all, whatever `epochs` says; None: `epochs` decides."""
    patience: int | None = None
    """Stop after so many epochs in a row without a better dev score; None: never."""
    truncate: bool = False
    """Whether sequences longer than the encoder's positions are cut, or refused."""
    lora: Lora | None = None
    """Adapters to train in the encoder's place."""

    def __post_init__(self) -> None:
        words = {
            "tokenization": (kmers.OVERLAPPING, kmers.NON_OVERLAPPING, CHARACTER),
            "metric": tuple(metrics.CHOSEN_BY.values()),
            "precision": ("fp32", "bf16", "auto"),
            "truncate": (True, False),
        }
        for name, due in words.items():
            if getattr(self, name) not in due:
                _refuse(name, getattr(self, name), " or ".join(map(str, due)))
        for name, least in _COUNTS:
            value = getattr(self, name)
            if type(value) is not int or value < least:
                _refuse(name, value, f"a whole number from {least} up")
        for name in _OPTIONAL_COUNTS:
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                _refuse(name, value, "null or a whole number from 1 up")
        if not 0 <= self.dropout < 1:
            _refuse("dropout", self.dropout, "from 0 to less than 1")

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Read the `--hparams` flag: every key without a default is due, no other."""
        due = [field.name for field in fields(cls) if field.default is MISSING]
        optional = [field.name for field in fields(cls) if field.name not in due]
        values = read_object(text, due, optional)
        values["betas"] = tuple(values["betas"])
        if values.get("lora") is not None:
            values["lora"] = Lora.parse(values["lora"])
        return cls(**values)


def _refuse(name: str, value: object, due: str) -> None:
    raise InputError(f"--hparams: {name} is {value!r}, expected {due}")
