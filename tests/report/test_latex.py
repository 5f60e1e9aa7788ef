"""The LaTeX tables: whole by structure always, compiled where there is a LaTeX."""

import json
import re
import shutil
import subprocess

import pytest
from made.results import (
    CONFIG,
    DATASETS,
    EXPERIMENT,
    ROWS2,
    ROWS3,
    make_predictions,
    make_runs,
)

from randommask.report.tables import sheet
from randommask.report.tables.__main__ import main
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

NAMES = ("table1", "table2", "table3", "table5", "statistics", "hostile")
PREAMBLE = r"""\documentclass[twocolumn]{article}
\usepackage[margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{amssymb}
\begin{document}
"""


def write_hostile(folder):
    """Every character that LaTeX treats in its own way, in every place for a text."""
    text = r"a & b_c % $d #e {f} ~g ^h \i <j> +1.50 -0.2"
    cells = (Cell(text, spread="0.10", delta="-1.00", rank=1, flagged=True), Cell())
    columns = (Column(text, group=text, short=text), Column("last", text=True))
    grids = (Grid((text,), columns, (((text,), cells),)),)
    made = Sheet("hostile", text, text, grids, (text,))
    (folder / "hostile.tex").write_text(sheet.latex(made))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latex")
    runs, benchmark = folder / "finetune", folder / "benchmark"
    make_runs(runs, ROWS2, DATASETS, (0, 1))
    rates = {row["encoder"]: 0.5 for row in ROWS3}
    for dataset in DATASETS:
        make_predictions(runs, benchmark, ROWS3, dataset, (0, 1), rates, size=40)

    def write(which, hparams, *flags):
        hparams = {"experiment": EXPERIMENT, "datasets": DATASETS} | hparams
        made = [f"--{kind}={folder / which}.{kind}" for kind in ("csv", "md", "tex")]
        main([which, f"--hparams={json.dumps(hparams)}", *map(str, flags), *made])

    listed = ("--datasets", CONFIG / "datasets.tsv")
    write("table1", {}, *listed)
    chosen = {"epochs": 3, "batch_size": 32, "learning_rate": 3e-5}
    printed = ("--published", CONFIG / "published" / "recipes.csv")
    recipe = {"recipe": "table5", "used": True, "settings": {"betas": [0.9, 0.999]}}
    write(
        "table5",
        recipe | {"datasets": dict.fromkeys(DATASETS, chosen)},
        *listed,
        *printed,
    )
    for which, rows in (("table2", ROWS2), ("table3", ROWS3)):
        flags = ["--published", CONFIG / "published" / f"{which}.csv", "--runs", runs]
        if which == "table3":
            flags += ["--averages", folder / "averages.csv"]
        write(which, {"rows": rows, "seeds": [0, 1]}, *flags, *listed)
    flags = (
        "--table3",
        folder / "table3.csv",
        "--benchmark",
        benchmark,
        "--runs",
        runs,
    )
    write("statistics", {"rows": ROWS3, "seeds": [0, 1], "baseline": "dnabert"}, *flags)
    write_hostile(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_braces_mathematics_and_environments_are_balanced(folder, name):
    text = (folder / f"{name}.tex").read_text()
    assert text.isascii()
    plain = re.sub(r"(?m)^%.*\n", "", text)
    plain = re.sub(r"\\[{}\\%&_#$]", "", plain)
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert all(line.count("$") % 2 == 0 for line in plain.splitlines())
    assert not re.findall(r"[_^#~]", re.sub(r"\$[^$]*\$|label{[^}]*}", "", plain))
    open_, seen = [], []
    for kind, environment in re.findall(r"\\(begin|end){([a-z*]+)}", text):
        seen.append(environment)
        if kind == "begin":
            open_.append(environment)
        else:
            assert open_.pop() == environment
    assert not open_ and "tabular" in seen


@pytest.mark.parametrize("name", NAMES)
def test_every_line_has_the_cells_of_its_tabular(folder, name):
    text = (folder / f"{name}.tex").read_text()
    pattern = r"\\begin{tabular}{([lr]+)}(.*?)\\end{tabular}"
    tabulars = re.findall(pattern, text, re.DOTALL)
    assert tabulars
    for spec, body in tabulars:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 2
        for line in lines:
            spans = re.findall(r"\\multicolumn{(\d+)}", line)
            cells = len(re.findall(r"(?<!\\)&", line)) + 1
            assert cells + sum(int(n) - 1 for n in spans) == len(spec)


def test_signed_numbers_have_a_minus(folder):
    text = (folder / "hostile.tex").read_text()
    assert r"\textless{}j\textgreater{} $+1.50$ $-0.2$" in text
    assert r"{\scriptsize $-1.00$}" in text
    assert "TF-M-0" in (folder / "statistics.tex").read_text()


COMPILER = shutil.which("pdflatex") or shutil.which("tectonic")


@pytest.mark.skipif(not COMPILER, reason="no pdflatex or tectonic")
def test_it_compiles_and_fits_the_page(folder):
    parts = [rf"\input{{{folder / name}.tex}}" + "\n\\clearpage" for name in NAMES]
    document = PREAMBLE + "\n".join(parts) + "\n\\end{document}\n"
    (folder / "all.tex").write_text(document)
    quiet = ["-interaction=nonstopmode", "-halt-on-error"]
    flags = quiet if "pdflatex" in COMPILER else ["--only-cached"]
    done = subprocess.run(
        [COMPILER, *flags, "all.tex"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    wide = re.findall(r"Overfull \\hbox \((\d+)\.\d+pt", done.stdout)
    assert [pt for pt in wide if int(pt) > 15] == []
