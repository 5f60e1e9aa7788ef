"""Read what the figures are drawn from; whatever does not fit is named."""

from pathlib import Path

import numpy as np
import pandas as pd

from randommask.errors import InputError

ROLES = ("baseline", "randommask", "nonoverlapping", "mini")
LABELS = {
    "baseline": "DNABERT",
    "randommask": "DNABERT + RandomMask",
    "nonoverlapping": "Non-overlapping",
    "mini": "BERT-mini",
}
HISTORY = {
    "step": "whole number",
    "phase": "whole number",
    "max_span": "whole number",
    "loss": "number",
    "bound": "number",
    "validation_loss": "number or empty",
}
PICTURE = {
    "step": "whole number",
    "kmer": "text",
    "center": "text",
    "x": "number",
    "y": "number",
}
PURITY = {
    "step": "whole number",
    "silhouette": "number",
    "purity": "number",
    "chance": "number",
}
SUMMARY = {
    "layer": "whole number",
    "cls_mass": "number",
    "entropy": "number",
    "distance": "number",
}


def by_role(flag: str, pairs: list[str]) -> dict[str, str]:
    """The paths of `role=path` pairs, in the order of the roles."""
    paths = {}
    for pair in pairs:
        role, equals, path = pair.partition("=")
        if role not in ROLES or not equals or not path or role in paths:
            raise InputError(
                f"{flag}: {pair}, expected role=path with each role once, of "
                f"{', '.join(ROLES)}"
            )
        paths[role] = path
    return {role: paths[role] for role in ROLES if role in paths}


def table(path: str | Path, columns: dict[str, str]) -> pd.DataFrame:
    """These columns of a csv file, each of its kind; further columns are left out."""
    try:
        # k-mers and pairs of nucleotides are no missing values, whatever they spell
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a csv file ({error})") from None
    for name in columns:
        if name not in frame:
            raise InputError(
                f"{path}: columns {','.join(frame)}, expected one named {name}"
            )
    if frame.empty:
        raise InputError(f"{path}: no rows, expected at least one")
    return pd.DataFrame(
        {name: _typed(path, frame[name], kind) for name, kind in columns.items()}
    )


def _typed(path: str | Path, column: pd.Series, kind: str) -> pd.Series:
    if kind == "text":
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = ~np.isfinite(numbers)
    if kind == "number or empty":
        wrong &= column != ""
    if kind == "whole number":
        wrong |= numbers != numbers.round()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: line {row + 2}: {column.name} is {column.iloc[row]!r}, "
            f"expected a {kind}"
        )
    return numbers.astype("int64" if kind == "whole number" else "float64")


def tables(paths: dict[str, str], columns: dict[str, str]) -> dict[str, pd.DataFrame]:
    """One table for each role."""
    return {role: table(path, columns) for role, path in paths.items()}


def attention_map(path: str | Path) -> np.ndarray:
    """The array `map` (layers, T, T) of a file of attention maps."""
    with open(path, "rb") as file:
        try:
            found = np.load(file)["map"]
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise InputError(f"{path}: no array named map ({error})") from None
    if found.ndim != 3 or found.shape[1] != found.shape[2]:
        raise InputError(f"{path}: map of shape {found.shape}, expected (layers, T, T)")
    return found
