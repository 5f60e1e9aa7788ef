"""The printed side of the tables: one sheet, written as Markdown, LaTeX or HTML.

A sheet is a title, the experiment's notice, one or more grids and the remarks below
them. Markdown has no cells that span, so a column has two names: one that stands by
itself and one for below its group.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from randommask.experiment import units


@dataclass(frozen=True)
class Cell:
    """What stands in one cell. `rank` 1 is the best, 2 the second, 0 neither."""

    text: str = ""
    spread: str = ""
    delta: str = ""
    rank: int = 0
    flagged: bool = False


@dataclass(frozen=True)
class Column:
    """A column: its name by itself, and its name below `group` where it has one.

    Columns of numbers are set to the right, those of `text` to the left.
    """

    name: str
    group: str = ""
    short: str = ""
    text: bool = False


@dataclass(frozen=True)
class Grid:
    """Lines of (headings, cells); `stub` names the columns of headings."""

    stub: tuple[str, ...]
    columns: tuple[Column, ...]
    lines: tuple[tuple[tuple[str, ...], tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Sheet:
    """A table ready to be written; `label` is its LaTeX label.

    `lead` are paragraphs that stand before the grids, in Markdown only.
    """

    label: str
    title: str
    notice: str
    grids: tuple[Grid, ...]
    remarks: tuple[str, ...] = ()
    lead: tuple[str, ...] = ()


def number(value: float | None) -> str:
    """A value as printed, two decimals; nothing for None."""
    return units.text(value, "per cent")


def signed(value: float | None) -> str:
    """A difference with its sign, two decimals; zero has none.

    >>> signed(-0.001), signed(1.5)
    ('0.00', '+1.50')
    """
    return units.text(value, "points")


# Markdown


def markdown(sheet: Sheet) -> str:
    """The sheet as GitHub's Markdown; best in bold, second underlined."""
    parts = [f"# {_md(sheet.title)}"]
    if sheet.notice:
        parts.append(f"> {_md(sheet.notice)}")
    parts += map(_md, sheet.lead)
    parts += [_markdown_grid(grid) for grid in sheet.grids]
    if sheet.remarks:
        parts.append("\n".join(f"- {_md(remark)}" for remark in sheet.remarks))
    return "\n\n".join(parts) + "\n"


def _markdown_grid(grid: Grid) -> str:
    header = [*grid.stub, *(column.name for column in grid.columns)]
    align = ["---"] * len(grid.stub)
    align += ["---" if column.text else "---:" for column in grid.columns]
    lines = [[_md(text) for text in header], align]
    for stubs, cells in grid.lines:
        lines.append([*map(_md, stubs), *map(_markdown_cell, cells)])
    return markdown_rows(lines)


def markdown_rows(lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells as GitHub's Markdown; the second line says how columns are set."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cell(cell: Cell) -> str:
    text = _md(cell.text)
    if text and cell.rank:
        text = f"**{text}**" if cell.rank == 1 else f"<u>{text}</u>"
    if cell.flagged:
        text += "\u2020"
    if cell.spread:
        text += f" \u00b1 {cell.spread}"
    return f"{text} ({cell.delta})" if cell.delta else text


def _md(text: str) -> str:
    return re.sub(r"([\\*|<`])", r"\\\1", text)


# LaTeX


_PAGE = 50
"""Lines of a float, rules and headings among them: a page of them in small print."""


def latex(sheet: Sheet) -> str:
    """The sheet as LaTeX floats of a page; needs the packages booktabs and amssymb.

    A difference stands in a small line of its own below the value, so that ten columns
    fit a page.
    """
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage{amssymb}",
        *([f"% {sheet.notice}"] if sheet.notice else []),
    ]
    pages = _pages([_latex_grid(grid) for grid in sheet.grids])
    for number, page in enumerate(pages, start=1):
        caption = f"{sheet.title}. {sheet.notice}".rstrip()
        label = sheet.label
        if number > 1:
            caption, label = f"{sheet.title} (continued).", f"{label}-{number}"
        lines += [
            r"\begin{table*}[t]",
            r"\centering\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{_tex(caption)}}}",
            rf"\label{{tab:{label}}}",
        ]
        for index, grid in enumerate(page):
            lines += ([r"\par\medskip"] if index else []) + grid
        if number == len(pages):
            lines += [rf"\par\smallskip {_tex(remark)}" for remark in sheet.remarks]
        lines.append(r"\end{table*}")
    return "\n".join([*lines, ""])


def _pages(grids: Sequence[list[str]]) -> list[list[list[str]]]:
    """The grids in their order, as many together as fill a page; at least one page."""
    pages: list[list[list[str]]] = [[]]
    for grid in grids:
        if pages[-1] and sum(map(len, pages[-1])) + len(grid) > _PAGE:
            pages.append([])
        pages[-1].append(grid)
    return pages


def _latex_grid(grid: Grid) -> list[str]:
    first = len(grid.stub)
    sides = "".join("l" if column.text else "r" for column in grid.columns)
    lines = [
        rf"\begin{{tabular}}{{{'l' * first}{sides}}}",
        r"\toprule",
    ]
    if any(column.group for column in grid.columns):
        spans = spans_of(grid.columns)
        heads = [rf"\multicolumn{{{n}}}{{c}}{{{_tex(name)}}}" for name, n in spans]
        rules, start = [], first + 1
        for name, width in spans:
            if name:
                rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
        lines += [" & ".join([*[""] * first, *heads]) + r" \\", "".join(rules)]
    names = [column.short or column.name for column in grid.columns]
    lines += [" & ".join(map(_tex, (*grid.stub, *names))) + r" \\", r"\midrule"]
    for stubs, cells in grid.lines:
        lines.append(" & ".join([*map(_tex, stubs), *map(_latex_cell, cells)]) + r" \\")
        if any(cell.delta for cell in cells):
            small = [
                rf"{{\scriptsize {_tex(cell.delta)}}}" if cell.delta else ""
                for cell in cells
            ]
            heads = [r"{\scriptsize\quad vs. printed}"] + [""] * (len(stubs) - 1)
            lines.append(" & ".join([*heads, *small]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _latex_cell(cell: Cell) -> str:
    text = _tex(cell.text)
    if text and cell.rank:
        text = rf"\{'textbf' if cell.rank == 1 else 'underline'}{{{text}}}"
    if cell.flagged:
        text += r"$^{\dagger}$"
    return text + (rf"{{\scriptsize$\pm${cell.spread}}}" if cell.spread else "")


_SIGNED = re.compile(r"((?<![\w.])[+-]\d[\d.]*(?!\w))")
"""A number with its sign, standing by itself."""

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\u2713": r"\checkmark",
    "\u2020": r"$^{\dagger}$",
    "\u00b1": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def _tex(text: str) -> str:
    """LaTeX for a text; numbers with a sign are set as mathematics, for its minus."""
    parts = _SIGNED.split(text)
    return "".join(
        f"${part}$" if number % 2 else "".join(_TEX.get(c, c) for c in part)
        for number, part in enumerate(parts)
    )


# HTML

_SHORT = 13
"""Letters up to which a line's heading stays on one line."""

_LINE = 24
"""Letters above which a text may be broken into lines."""


def to_html(sheet: Sheet) -> str:
    """The grids and remarks as HTML, each grid in a box that scrolls by itself.

    The title and the notice are left to the page.
    """
    parts = [_html_grid(grid, sheet.title) for grid in sheet.grids]
    if sheet.remarks:
        items = "".join(f"<li>{html.escape(remark)}</li>" for remark in sheet.remarks)
        parts.append(f'<ul class="remarks">{items}</ul>')
    return "\n".join(parts)


def _html_grid(grid: Grid, name: str) -> str:
    heads = "".join(
        f'<th scope="col" class="text">{html.escape(text)}</th>' for text in grid.stub
    )
    grouped = any(column.group for column in grid.columns)
    deltas = any(cell.delta for _, cells in grid.lines for cell in cells)
    above = ""
    if grouped:
        spans = "".join(
            f'<th class="group" scope="colgroup" colspan="{width}">'
            f"{html.escape(text)}</th>"
            for text, width in spans_of(grid.columns)
        )
        above = f'<tr><td colspan="{len(grid.stub)}"></td>{spans}</tr>'
    names = "".join(
        f'<th scope="col" class="{"text" if column.text else "number"}">'
        f"{html.escape(column.short or column.name)}</th>"
        for column in grid.columns
    )
    body = "".join(
        "<tr>"
        + "".join(map(_html_stub, stubs))
        + "".join(
            _html_cell(cell, column, deltas)
            for cell, column in zip(cells, grid.columns, strict=True)
        )
        + "</tr>\n"
        for stubs, cells in grid.lines
    )
    return (
        f'<div class="scroll" tabindex="0" role="region"'
        f' aria-label="{html.escape(name)}">'
        f"<table><thead>{above}<tr>{heads}{names}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>"
    )


def _html_stub(text: str) -> str:
    """A line's heading; a short one, such as TF-M, is not broken at its hyphen."""
    kind = ' class="short"' if len(text) <= _SHORT else ""
    return f'<th scope="row"{kind}>{html.escape(text)}</th>'


def _html_cell(cell: Cell, column: Column, deltas: bool) -> str:
    """One cell; where some have a difference, all keep its room and so line up."""
    text = _SIGNED.sub(_minus, html.escape(cell.text))
    if text and cell.rank:
        text = f"<b>{text}</b>" if cell.rank == 1 else f"<u>{text}</u>"
    if cell.flagged:
        text += "<sup>\u2020</sup>"
    if cell.spread:
        text += f' <span class="spread">\u00b1 {cell.spread}</span>'
    if deltas and not column.text:
        sign = {"+": " up", "-": " down"}.get(cell.delta[:1], "")
        delta = cell.delta.replace("-", "\u2212")
        text += f' <span class="delta{sign}">{delta}</span>'
    if not column.text:
        return f"<td>{text}</td>"
    long = " long" if len(cell.text) > _LINE else ""
    return f'<td class="text{long}">{text}</td>'


def _minus(number: re.Match[str]) -> str:
    return number[0].replace("-", "\u2212")


def spans_of(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Neighbouring columns of one group as (group, how many)."""
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and spans[-1][0] == column.group:
            spans[-1] = (column.group, spans[-1][1] + 1)
        else:
            spans.append((column.group, 1))
    return spans
