"""What can be looked into: embeddings and attention to point at and to filter.

The numbers stand in the page as JSON and are drawn on a canvas by `views.js`, which is
all of the page's script; the policy of the page allows it by its hash and nothing else.
Without a script the static figures beside them say the same.

Shapes: L layers, T tokens of a window.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from randommask.measures import readers
from randommask.measures.readers import LABELS, ROLES
from randommask.report.figures.style import PAIR_COLOURS

SCRIPT = (Path(__file__).parent / "views.js").read_text(encoding="utf-8")
POLICY = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii")
"""What the page's policy names the script by."""

_SCALE = 65535
"""A share of attention is kept in two bytes."""


def embeddings(figures: Path, roles: dict[str, str]) -> Markup:
    """The t-SNE of each encoder that has one, at every milestone."""
    shown = []
    for role, path in _files(figures / "embeddings", roles, "csv"):
        points = readers.table(path, readers.PICTURE)
        by_step = {
            int(step): [own["x"].round(3).tolist(), own["y"].round(3).tolist()]
            for step, own in points.groupby("step")
        }
        last = points[points["step"] == points["step"].max()]
        shown.append(
            {"label": LABELS[role], "steps": by_step}
            | {"kmers": last["kmer"].tolist(), "centers": last["center"].tolist()}
        )
    told = {"encoders": shown, "colours": PAIR_COLOURS}
    title = "Embeddings of the k-mers, to be pointed at and filtered"
    return _view("embeddings", title, told) if shown else Markup("")


def attention(figures: Path, roles: dict[str, str]) -> Markup:
    """The attention maps of each encoder, every layer."""
    shown = []
    for role, path in _files(figures / "attention", roles, "npz"):
        map_LTT = readers.attention_map(path)
        kept = np.round(map_LTT * _SCALE).astype("<u2").tobytes()
        shown.append(
            {"label": LABELS[role], "shape": map_LTT.shape}
            | {"map": base64.b64encode(kept).decode("ascii")}
        )
    title = "Attention, layer by layer, to be pointed at and filtered"
    return _view("attention", title, {"encoders": shown}) if shown else Markup("")


def _files(folder: Path, roles: dict[str, str], kind: str) -> list[tuple[str, Path]]:
    """The file of each role that has one, in the order of the roles."""
    named = [role for role in ROLES if role in roles]
    paths = [(role, folder / f"{roles[role]}.{kind}") for role in named]
    return [(role, path) for role, path in paths if path.exists()]


def _view(kind: str, title: str, told: dict[str, Any]) -> Markup:
    # "</script>" in a name would end the element
    data = json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(
        '<figure class="view" id="view-{0}" data-view="{0}">'
        '<div class="controls"></div>'
        '<div class="drawn"><canvas role="img" aria-label="{1}" tabindex="0"></canvas>'
        '<output class="told" aria-live="polite"></output></div>'
        "<noscript>Needs JavaScript; the figure above is the same at rest.</noscript>"
        '<script type="application/json">{2}</script>'
        "<figcaption><b>{1}.</b> {3}</figcaption></figure>"
    ).format(kind, title, Markup(data), _HOW[kind])


_HOW = {
    "embeddings": "Point at a dot for its k-mer. Choose the encoder, the step and the"
    " central nucleotides; or type letters, of which those k-mers stay that have them,"
    " N for any.",
    "attention": "Rows look, columns are looked at; [CLS] is first, [SEP] last. Point"
    " at a cell for its share; hide what is below a share.",
}
