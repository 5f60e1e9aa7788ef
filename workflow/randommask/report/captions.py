"""The numbers behind the figures, in a sentence or two for each caption.

Those that stand elsewhere too are the registry's (`measures.quantities`); the others
are read from the csv that stands beside each picture.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from randommask import kmers
from randommask.encoders import cost
from randommask.experiment.units import text
from randommask.measures.observations import phases
from randommask.measures.quantities import LINES, Registry, grouped
from randommask.measures.readers import LABELS
from randommask.measures.records import read_csv


def measured(folder: Path, config: Any, known: Registry) -> dict[str, str]:
    """Sentences by the name of the figure, for those whose csv is there.

    `config` gives the sizes of the encoders where it is a mapping.
    """
    found = {}
    for name, describe in _SENTENCES.items():
        path = folder / f"{name}.csv"
        if path.exists():
            found[name] = describe(path, known)
    if "fig5" in found and isinstance(config, dict):
        found["fig5"] += small_share(config)
    return found


def embeddings(path: Path, known: Registry) -> str:
    """Purity and silhouette of every encoder's last milestone."""
    numbers = ("step", "silhouette", "purity", "chance")
    last = {line["role"]: line for line in read_csv(path, ("role",), numbers)}
    parts = [
        f"{LABELS[role]} {known[f'purity/{role}']} (chance"
        f" {text(line['chance'], 'purity')}, silhouette"
        f" {text(line['silhouette'], 'purity')})"
        for role, line in last.items()
        if line["purity"] is not None
    ]
    return f"purity at the last milestone: {'; '.join(parts)}." if parts else ""


def attention(path: Path, known: Registry) -> str:
    """[CLS] share, entropy and distance: means over the middle layers, and the last."""
    numbers = ("layer", "cls_mass", "entropy", "distance")
    parts = []
    for role, lines in grouped(read_csv(path, ("role",), numbers)).items():
        cls = [("middle layers", "middle")] if lines[1:-1] else []
        shares = ", ".join(
            f"{known[f'[CLS] {where}/{role}']} in the {name}"
            for name, where in [*cls, ("last layer", "last")]
        )
        entropy, distance = (
            fmean(line[key] for line in lines) for key in ("entropy", "distance")
        )
        parts.append(
            f"{LABELS[role]} {shares} (all layers: entropy {text(entropy, 'nats')}"
            f" nats, distance {distance:.1f} tokens)"
        )
    return f"attention on [CLS]: {'; '.join(parts)}."


def losses(path: Path, known: Registry) -> str:
    """The last loss of every encoder; RandomMask's jumps, and falls within phases."""
    by_role = grouped(read_csv(path, ("role",), ("step", "phase", "loss")))
    ends = [f"{LABELS[role]} {known[f'last loss/{role}']}" for role in by_role]
    said = f"last loss in nats, the mean of {LINES} log lines: {', '.join(ends)}."
    checks = phases(by_role.get("randommask", []))
    for word, name in (("jump", "at the boundaries"), ("fall", "within the phases")):
        values = [x["value"] for x in checks if f": {word} of" in x["check"]]
        if shown := [text(value, "points") for value in values if value is not None]:
            sign = {"jump": "jumps", "fall": "falls"}[word]
            listed = ", ".join(v.lstrip("+") if word == "fall" else v for v in shown)
            said += f" RandomMask's loss {sign} {name} by {listed}."
    return said


def small_share(config: dict[str, Any]) -> str:
    """How large BERT-mini really is, from the architectures; empty without a mini."""
    roles = config.get("roles", {})
    if "mini" not in roles:
        return ""
    mini, base = (_parameters(config, roles[role]) for role in ("mini", "baseline"))
    return (
        f" {LABELS['mini']} has {mini / 1e6:.1f} of {base / 1e6:.1f} million"
        f" parameters, {100 * mini / base:.1f} %; the paper says one tenth."
    )


def _parameters(config: dict[str, Any], encoder: str) -> int:
    settings = config["pretrain"] | config["encoders"][encoder]
    sizes = config["architectures"][settings["architecture"]]
    return cost.parameters(cost.Sizes.of(sizes), kmers.vocab_size(settings["k"]))


_SENTENCES: dict[str, Callable[[Path, Registry], str]] = {
    "fig2": embeddings,
    "fig4": attention,
    "fig5": losses,
}
