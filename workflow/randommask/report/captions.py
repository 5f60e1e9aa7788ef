"""The numbers behind the figures, in a sentence or two for each caption.

Read from the csv that stands beside each picture; nothing is computed but means.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from randommask import kmers
from randommask.encoders import cost
from randommask.measures.observations import phases
from randommask.measures.readers import LABELS
from randommask.measures.records import Record, read_csv


def measured(folder: Path, config: Any) -> dict[str, str]:
    """Sentences by the name of the figure, for those whose csv is there.

    `config` gives the sizes of the encoders where it is a mapping.
    """
    found = {}
    for name, describe in _SENTENCES.items():
        path = folder / f"{name}.csv"
        if path.exists():
            found[name] = describe(path)
    if "fig5" in found and isinstance(config, dict):
        found["fig5"] += small_share(config)
    return found


def embeddings(path: Path) -> str:
    """Purity and silhouette of every encoder's last milestone."""
    numbers = ("step", "silhouette", "purity", "chance")
    last = {line["role"]: line for line in read_csv(path, ("role",), numbers)}
    known = {role: line for role, line in last.items() if line["purity"] is not None}
    parts = [
        f"{LABELS[role]} {line['purity']:.2f} (chance {line['chance']:.2f}, silhouette"
        f" {line['silhouette']:.2f})"
        for role, line in known.items()
    ]
    return f"purity at the last milestone: {'; '.join(parts)}." if parts else ""


def attention(path: Path) -> str:
    """[CLS] share, entropy and distance: means over the middle layers, and the last."""
    numbers = ("layer", "cls_mass", "entropy", "distance")
    by_role: dict[str, list[Record]] = {}
    for line in read_csv(path, ("role",), numbers):
        by_role.setdefault(line["role"], []).append(line)
    parts = []
    for role, lines in by_role.items():
        middle = lines[1:-1]
        cls = [("last layer", lines[-1:])]
        if middle:
            cls = [("middle layers", middle), *cls]
        shares = ", ".join(
            f"{100 * fmean(x['cls_mass'] for x in own):.1f} % in the {name}"
            for name, own in cls
        )
        entropy, distance = (
            fmean(line[key] for line in lines) for key in ("entropy", "distance")
        )
        parts.append(
            f"{LABELS[role]} {shares} (all layers: entropy {entropy:.2f} nats, distance"
            f" {distance:.1f} tokens)"
        )
    return f"attention on [CLS]: {'; '.join(parts)}."


def losses(path: Path) -> str:
    """The last loss of every encoder; RandomMask's jumps, and falls within phases."""
    by_role: dict[str, list[Record]] = {}
    for line in read_csv(path, ("role",), ("step", "phase", "loss", "smoothed")):
        by_role.setdefault(line["role"], []).append(line)
    ends = [
        f"{LABELS[role]} {lines[-1]['smoothed']:.2f}" for role, lines in by_role.items()
    ]
    text = f"last loss in nats: {', '.join(ends)}."
    checks = phases(by_role.get("randommask", []))
    for word, name in (("jump", "at the boundaries"), ("fall", "within the phases")):
        values = [x["value"] for x in checks if f": {word} of" in x["check"]]
        if known := [f"{value:+.2f}" for value in values if value is not None]:
            sign = {"jump": "jumps", "fall": "falls"}[word]
            listed = ", ".join(v.lstrip("+") if word == "fall" else v for v in known)
            text += f" RandomMask's loss {sign} {name} by {listed}."
    return text


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


_SENTENCES: dict[str, Callable[[Path], str]] = {
    "fig2": embeddings,
    "fig4": attention,
    "fig5": losses,
}
