"""Refuse a group that no page could be made of, before anything is trained for it.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from typing import Any

from randommask.errors import InputError


def check(where: str, group: dict[str, Any]) -> None:
    """Raise `InputError` for rows that a reader, or the axis, cannot tell apart.

    `where` names the group in the message.
    """
    if not group["datasets"]:
        raise InputError(f"{where}.datasets: found [], expected at least one")
    seen: dict[tuple, int] = {}
    for number, row in enumerate(group["rows"], start=1):
        name = f"{where} row {row['label']!r}"
        _check_place(name, row, group)
        label, series = row["label"], row.get("series", "")
        encoder, tokenization = row["encoder"], row["tokenization"]
        first = seen.setdefault(("label", label, tokenization), number)
        if first < number:
            raise InputError(
                f"{name}: row {first} has this label and {tokenization} tokens too"
            )
        first = seen.setdefault(("encoder", series, encoder, tokenization), number)
        if first < number:
            raise InputError(
                f"{name}: {encoder} with {tokenization} tokens is row {first} already"
            )


def _check_place(name: str, row: dict[str, Any], group: dict[str, Any]) -> None:
    """Check that a row lies along the group's axis in the way of the first row."""
    if "axis" not in group:
        if extra := {"at", "series"} & row.keys():
            raise InputError(f"{name}: {min(extra)!r}, but the group has no 'axis'")
        return
    if "at" not in row:
        raise InputError(f"{name}: no 'at', which the group's axis asks for")
    first = group["rows"][0]
    if ("series" in row) != ("series" in first):
        found, due = ("a", "none") if "series" in row else ("no", "one")
        raise InputError(f"{name}: {found} series, expected {due} as in row 1")
    kinds = [isinstance(one.get("at"), str) for one in (row, first)]
    if kinds[0] != kinds[1]:
        due = "a text" if kinds[1] else "a number"
        raise InputError(f"{name}: at {row['at']!r}, expected {due} as in row 1")
