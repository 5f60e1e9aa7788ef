"""The report is whole, carries every number, and asks nothing of the network."""

import base64
import hashlib
import json
import re
import shutil
import struct
import subprocess
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from made.results import (
    CONFIG,
    DATASETS,
    EXPERIMENT,
    ROWS2,
    ROWS3,
    make_attention,
    make_history,
    make_run,
    make_runs,
    make_summary,
    metrics_path,
    score,
    stairs,
)

from randommask.measures import quantities, statistics
from randommask.measures.records import write_csv
from randommask.report import views
from randommask.report.__main__ import main
from randommask.report.pictures import DATASETS as DATASETS_FIGURE
from randommask.report.pictures import FIGURES, RANKS
from randommask.report.tables.__main__ import main as tables
from randommask.report.tables.audit import main as audit
from randommask.report.tables.observations import main as observations

LEAKS = [  # a data set that leaks, and a row without the leak
    {"dataset": "TF-M-0", "metric": "mcc", "kind": "partners-2", "verdict": "serious"}
    | {"row": "", "test_rows": 810, "leaking": 734, "mean": 91.02, "left": None},
    {"dataset": "TF-M-0", "metric": "mcc", "kind": "partners", "verdict": ""}
    | {"row": "DNABERT", "test_rows": 810, "leaking": 734, "mean": 55.6, "left": 50.5},
]
VOID = {"meta", "link", "img", "br", "hr"}


def png(path, width=4, height=3):
    """Write a grey picture by hand."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def make_tables(folder, datasets=DATASETS):
    """Run every command whose files the report reads, on the runs in `folder`."""
    out = folder / "tables"

    def write(which, hparams, *flags):
        text = json.dumps({"experiment": EXPERIMENT} | hparams)
        paths = [f"--{kind}={out / which}.{kind}" for kind in ("csv", "md", "tex")]
        tables([which, f"--hparams={text}", *paths, *map(str, flags)])

    names = {"datasets": list(datasets)}
    listed = ("--datasets", CONFIG / "datasets.tsv")
    for which, rows in (("table2", ROWS2), ("table3", ROWS3)):
        flags = ["--runs", folder / "finetune", *listed]
        flags += ["--published", CONFIG / "published" / f"{which}.csv"]
        if which == "table3":
            flags += ["--averages", out / "table3_averages.csv"]
        write(which, names | {"rows": rows, "seeds": [0]}, *flags)
    write("table1", names, *listed)
    printed = ("--published", CONFIG / "published" / "recipes.csv")
    chosen = {"epochs": 3, "batch_size": 32, "learning_rate": 3e-5}
    for which in ("table4", "table5"):
        recipe = {"recipe": which, "used": which == "table5"}
        recipe["settings"] = {"optimizer": "AdamW", "betas": [0.9, 0.999]}
        recipe["datasets"] = {name: chosen for name in datasets}
        write(which, recipe, *listed, *printed)
    summaries = [make_summary(folder / "benchmark", name) for name in datasets]
    write("datasets", {}, "--summaries", *summaries)
    write_csv(out / "leaks.csv", LEAKS)
    text = json.dumps({"experiment": EXPERIMENT})
    published = CONFIG / "published"
    audit([f"--published={published}", f"--hparams={text}", f"--output={out}/audit.md"])
    history = make_history(folder / "history.csv", stairs, (1, 2))
    attention = make_attention(folder / "attention.csv", [0.9] * 4)
    text = json.dumps({"experiment": EXPERIMENT, "k": 6})
    observations(
        ["--table2", str(out / "table2.csv"), "--hparams", text]
        + ["--history", f"randommask={history}", "--attention", f"baseline={attention}"]
        + [f"--{kind}={out}/observations.{kind}" for kind in ("csv", "md")]
    )
    return out


ROLE_OF = {"baseline": "dnabert", "randommask": "randommask"}


def report(folder, experiment=EXPERIMENT, config=None):
    hparams = {
        "experiment": experiment,
        "roles": ROLE_OF,
        "config": config or {"seed": 1, "note": "a < b & c"},
    }
    flags = [f"--{name}={folder / name}" for name in ("tables", "figures")]
    flags += [f"--runs={folder / 'finetune'}", f"--benchmarks={folder / 'benchmarks'}"]
    flags += [f"--checksums={folder / 'checksums.tsv'}", f"--repository={folder}"]
    main([*flags, f"--hparams={json.dumps(hparams)}", f"--output={folder}/report.html"])
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_runs(folder / "finetune", [*ROWS3, *ROWS2], DATASETS, [0])
    for figure in (*FIGURES, RANKS, DATASETS_FIGURE):
        png(folder / "figures" / f"{figure.name}.png")
    make_tables(folder)
    make_statistics(folder)
    make_views(folder / "figures")
    return folder


def make_views(figures):
    """A few points and a small map of each encoder that has a role."""
    for encoder in ROLE_OF.values():
        (figures / "attention").mkdir(parents=True, exist_ok=True)
        (figures / "embeddings").mkdir(parents=True, exist_ok=True)
        np.savez(figures / "attention" / f"{encoder}.npz", map=np.full((2, 4, 4), 0.25))
        lines = ["step,kmer,center,x,y"]
        for step in (0, 100):
            lines += [f"{step},A{pair}A,{pair},{step},1.5" for pair in ("AC", "GT")]
        (figures / "embeddings" / f"{encoder}.csv").write_text("\n".join(lines) + "\n")


def make_statistics(folder):
    """The statistics as their command would write them, their numbers invented."""
    empty = dict.fromkeys(statistics.NUMBERS)
    lines = []
    for row in (ROWS3[0], *ROWS3[2:]):
        name = {"row": row["label"], "baseline": "DNABERT", "note": ""}
        for over, groups in (
            (statistics.OVER_DATASETS, [statistics.MCC_SETS, "EMP"]),
            (statistics.OVER_ROWS, DATASETS),
        ):
            numbers = {"pairs": 27, "difference": -7.25, "low": -9.5, "high": -4.75}
            numbers |= {"p_value": 0.03, "p_holm": 0.06}
            numbers |= {"wins": 3, "ties": 1, "losses": 23, "seeds": 1}
            for group in groups:
                lines.append({"over": over, "group": group} | name | empty | numbers)
    write_csv(folder / "tables" / "statistics.csv", lines)


@pytest.fixture(scope="module")
def text(made):
    return report(made)


class Page(HTMLParser):
    """Collects tags and refuses what does not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_nests_and_links_lead_somewhere(text):
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(page.ids)
    assert links


def test_nothing_is_asked_of_the_network(text):
    """One script, which the policy names by its hash; what it draws is data."""
    scripts = [a for tag, a in Page(text).tags if tag == "script"]
    assert [a.get("type") for a in scripts] == ["application/json"] * 2 + [None]
    for tag, attributes in Page(text).tags:
        assert tag not in {"iframe", "object", "embed", "video", "audio"}
        for name in ("src", "href", "srcset"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#"))
    assert "url(" not in text
    assert "@import" not in text
    assert "fetch(" not in text and "XMLHttpRequest" not in text
    assert "default-src 'none'" in text
    digest = hashlib.sha256(views.SCRIPT.encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in text


def test_pictures_are_inside_and_described(made, text):
    pictures = [a for tag, a in Page(text).tags if tag == "img"]
    drawn = (RANKS, *FIGURES, DATASETS_FIGURE)
    for figure, attributes in zip(drawn, pictures, strict=True):
        assert attributes["alt"] == figure.alt
        data = attributes["src"].removeprefix("data:image/png;base64,")
        path = made / "figures" / f"{figure.name}.png"
        assert base64.b64decode(data) == path.read_bytes()
    captions = re.findall("<figcaption><strong>(.*?)</strong>", text)
    numbered = [f"Figure {n}." for n in range(1, 6)]
    assert captions == ["Mean ranks.", *numbered, "The data sets side by side."]


def test_every_wide_thing_scrolls_in_its_own_box(text):
    """A table stands in a box that scrolls, so that the page itself does not."""
    tables = len(re.findall("<table", text))
    boxes = re.findall(r'<div class="scroll"[^>]*>\s*<table', text)
    assert tables == len(boxes) > 10


def test_what_leaks_is_said_before_the_scores(text):
    said = "Train or dev gives away test rows of 1 of 1 data sets (TF-M-0 91 % of rows"
    assert text.index(said) < text.index('id="table3"') < text.index('id="leaks"')
    assert "734 of 810" in text and "50.50" in text


def test_who_is_best_comes_after_the_claims(text):
    def average(row):
        names = [name for name in DATASETS if name != "EAP"]
        run = (row["encoder"], row["tokenization"])
        return sum(100 * score(*run, name, 0) for name in names) / 27

    best = max(ROWS3, key=average)
    words = re.search(r'<p class="answer">(.*?)</p>', text)[1]
    plain = re.sub("<.*?>", "", words)
    start = f"&#34;{best['label']}&#34; has the highest mean over the 27 classification"
    assert start in plain
    assert f"{average(best):.2f}" in plain
    won, ties = {row["label"]: 0 for row in ROWS3}, 0
    for name in DATASETS:
        values = {
            row["label"]: score(row["encoder"], row["tokenization"], name, 0)
            for row in ROWS3
        }
        highest = [
            label
            for label, value in values.items()
            if round(100 * value, 2) == round(100 * max(values.values()), 2)
        ]
        ties += len(highest) > 1
        won[highest[0]] += len(highest) == 1
    for label, count in won.items():
        assert f">{count} of 28</td>" in text, label
    assert f"{ties} are ties" in plain
    # Among these four rows' printed numbers TF-M-2 and CPD-notata are not RandomMask's.
    assert "the paper prints &#34;+RandomMask&#34; as best on 26 of 28" in plain
    assert text.index('id="claims"') < text.index('id="answer"')
    assert text.index('id="answer"') < text.index('id="table3"')


def test_a_card_for_each_claim_opens_the_page(text):
    cards = re.findall(
        r'<article class="card (.*?)" id="(.*?)">(.*?)</article>', text, 16
    )
    assert [place for _, place, _ in cards] == [
        "claim-randommask",
        *(f"observation-{n}" for n in (1, 2, 3)),
    ]
    first = re.sub("<.*?>", "", cards[0][2])
    assert cards[0][0] == "does-not-hold"
    for words in (
        "\u22127.25 points, 95 % interval \u22129.50 to \u22124.75, p 0.030",
        "3 of 27 sets won, 1 tied",
        "+8.60 points, 95 % interval +5.68 to +11.77, p &lt; 0.001; 26 of 27 sets won",
        "best of all rows on 26 of 28",
    ):
        assert words in first
    assert "DNABERT +10.25, NT +10.01 points" in cards[1][2]
    for _, _, body in cards:
        assert re.findall(r'<a href="#(.*?)">', body)
    title = re.search("<title>(.*?)</title>", text)[1]
    assert title.startswith(
        "RandomMask falls behind the baseline (-7.25 points); obser"
    )
    assert re.search("<h1>(.*?)</h1>", text)[1] in title


def test_a_quantity_has_one_value(made, text):
    """Every number with a name is written alike wherever the page has it."""
    found = {}
    for name, shown in re.findall(r'data-quantity="(.*?)">(.*?)</data>', text):
        found.setdefault(name, set()).add(shown.replace("\u2212", "-"))
    known = quantities.read(made / "tables", made / "figures")
    assert {"difference/+RandomMask", "wins/+RandomMask"} <= found.keys()
    for name, shown in found.items():
        assert shown == {str(known[name])}, name
    gains = [q for name, q in known.items() if name.startswith("overlap gain/")]
    assert gains
    for quantity in gains:  # the card, Table 2, the observations
        parts = [text[text.index(f'id="{place}"') :] for place in ("table2", "claims")]
        parts.append((made / "tables" / "observations.md").read_text())
        parts.append((made / "tables" / "table2.md").read_text())
        for part in parts:
            assert str(quantity) in part.replace("\u2212", "-")


def test_table_2_is_of_the_sets_that_it_names(made):
    """A column of one set has its name; of all sets of a task its mean is Table 3's."""
    columns = (made / "tables" / "table2.md").read_text()
    assert "| EMP (10) | TF-M (5) |" in columns and "| SSP | EAP |" in columns
    known = quantities.read(made / "tables", made / "figures")
    line = next(
        line
        for line in columns.splitlines()
        if line.startswith("| DNABERT | over")
        and "| overlapping | overlapping |" in line
    )
    assert str(known["mean/DNABERT/EMP"]) in line
    assert str(known["score/DNABERT/SSP"]) in line


def test_abbreviations_are_spelled_out_once(text):
    for words in ("epigenetic marks prediction", "Matthews correlation coefficient"):
        assert text.count(words) == 1
    assert text.index("EMP: epigenetic") < text.index('id="table3"')


def test_settings_are_folded(text):
    part = text[text.index('<section id="settings">') :]
    assert part.index("<details>") < part.index("note: a &lt; b &amp; c")


def test_notice_config_and_versions(made, text):
    assert f'<p class="notice" role="note">{EXPERIMENT["notice"]}'.replace(
        "'", "&#39;"
    ) in (text)
    assert "note: a &lt; b &amp; c" in text
    silent = {"name": "paper", "notice": ""}
    again = report(made, silent, config={"seed": 2})
    assert 'class="notice"' not in again
    assert ">seed: 2\n" in again
    assert report(made) == text


def test_statistics_stand_beside_their_plot(text):
    part = text[text.index('<section id="statistics">') : text.index('id="figures"')]
    assert part.index('<img class="narrow"') < part.index("+RandomMask&quot; - ")
    assert "<td>3 / 1 / 23</td>" in part
    assert "<b>\u22127.25 [\u22129.50, \u22124.75]</b>" in part
    assert "mean ranks differ at 0.05" in part


def test_warnings_are_gathered(tmp_path):
    make_runs(tmp_path / "finetune", [*ROWS3, *ROWS2], DATASETS, [0])
    flagged = ("dnabert", "overlapping", "SSP", 0)
    make_run(tmp_path / "finetune", *flagged, flags=["constant predictions"])
    make_tables(tmp_path)
    text = report(tmp_path)
    part = text[text.index('<section id="warnings">') :]
    assert "<li>&#34;DNABERT&#34;, SSP: seed 0: constant predictions</li>" in part
    assert "<li>Warning, 28 alike" in part
    assert "no run is missing or flagged" in report(tmp_path / "nothing")


def test_outliers_of_a_pretraining_are_a_warning(tmp_path):
    for encoder, step, counts in (
        ("odd", 200, (0, 0)),
        ("odd", 1000, (0, 2, 0, 1)),
        ("even", 1000, (0, 0)),
        ("old", 1000, ("", "")),  # from before there was the column
    ):
        folder = tmp_path / "pretrain" / encoder / f"step-{step}"
        folder.mkdir(parents=True)
        rows = [f"{100 * row},{count}" for row, count in enumerate(counts, 1)]
        (folder / "history.csv").write_text("\n".join(["step,outliers", *rows]) + "\n")
    text = report(tmp_path)
    part = text[text.index('<section id="warnings">') :]
    assert "<li>pretraining of odd: 3 steps whose loss" in part
    assert "the first by step 200" in part
    assert "pretraining of even" not in part and "pretraining of old" not in part


def test_numbers_of_every_table_are_there(made, text):
    run = (ROWS3[2]["encoder"], "overlapping")
    for name in DATASETS:
        assert f"{100 * score(*run, name, 0):.2f}" in text
    assert "best on 25 of 28 data sets" in text
    assert "Warning, 28 alike" in text
    assert "stands in train as well: 196, in 28 of 28 data sets" in text
    assert "These settings made the runs" in text
    assert "Observation 3" in text


def test_missing_parts_are_said_to_be_missing(tmp_path):
    text = report(tmp_path)
    Page(text)
    for figure in (*FIGURES, RANKS, DATASETS_FIGURE):
        assert f"Not made in this experiment: {figure.name}.png" in text
    for name in (
        "table3.csv",
        "statistics.csv",
        "table2.csv",
        "observations.csv",
        "audit.md",
    ):
        assert f"Not made in this experiment: {name}" in text


def test_names_cannot_break_the_page(tmp_path):
    """A hostile row label stays text."""
    rows = [ROWS3[0] | {"label": "<script>alert(1)</script>"}, ROWS3[1]]
    make_runs(tmp_path / "finetune", rows, ["SSP"], [0])
    gone = (rows[1]["encoder"], "overlapping", "SSP", 0)
    metrics_path(tmp_path / "finetune", *gone).unlink()
    flagged = (rows[0]["encoder"], "overlapping", "SSP", 0)
    make_run(tmp_path / "finetune", *flagged, flags=["<b>constant</b>"])
    hparams = {"experiment": EXPERIMENT, "rows": rows}
    hparams |= {"datasets": ["SSP"], "seeds": [0]}
    out = tmp_path / "tables"
    tables(
        [
            "table3",
            "--partial",
            "--hparams",
            json.dumps(hparams),
            "--runs",
            f"{tmp_path}/finetune",
        ]
        + ["--datasets", str(CONFIG / "datasets.tsv")]
        + ["--published", str(CONFIG / "published" / "table3.csv")]
        + ["--averages", f"{out}/table3_averages.csv"]
        + [f"--{kind}={out}/table3.{kind}" for kind in ("csv", "md", "tex")]
    )
    text = report(tmp_path)
    Page(text)
    assert "<script>alert" not in text
    assert "<b>constant" not in text
    assert "&lt;b&gt;constant" in text


def test_views_carry_the_numbers(text):
    found = re.findall(r'<script type="application/json">(.*?)</script>', text)
    points, maps = map(json.loads, found)
    first = points["encoders"][0]
    assert first["label"] == "DNABERT" and first["kmers"] == ["AACA", "AGTA"]
    assert first["steps"]["100"] == [[100, 100], [1.5, 1.5]]
    kept = np.frombuffer(base64.b64decode(maps["encoders"][1]["map"]), "<u2")
    assert maps["encoders"][1]["shape"] == [2, 4, 4]
    assert kept.shape == (32,) and abs(kept / 65535 - 0.25).max() < 1e-5


MEASURE = """<script>addEventListener("load", () => parent.postMessage(
    [innerWidth, document.documentElement.clientWidth,
     document.documentElement.scrollWidth].join(), "*"))</script></head>"""
FRAME = """<title></title><iframe src="page.html" width="{width}" height="800"
    style="border:0"></iframe>
    <script>onmessage = event => document.title = event.data</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_does_not_scroll_sideways(text, tmp_path, width):
    """In a frame, since a window of Chromium is at least 500 wide."""
    page, frame = tmp_path / "page.html", tmp_path / "frame.html"
    # The page forbids every script, so the one that measures needs it to be lifted.
    page.write_text(
        re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace(
            "</head>", MEASURE
        )
    )
    frame.write_text(FRAME.format(width=width))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update"
    flags += f" --disable-sync --user-data-dir={tmp_path}/profile --dump-dom"
    found = subprocess.run(
        ["chromium", *flags.split(), "--virtual-time-budget=5000", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    title = re.search(r"<title>([\d,]+)</title>", found.stdout)[1]
    outer, inner, needed = map(int, title.split(","))
    assert outer == width
    assert needed == inner


# A canvas is drawn when the browser comes to it: until then a pointer meets nothing.
POINT = """<script>addEventListener("load", () => setTimeout(function point() {
    const said = [];
    const before = document.querySelector("output").textContent;
    for (const canvas of document.querySelectorAll("canvas")) {
        const box = canvas.getBoundingClientRect();
        const at = (share) => 1 + share * canvas.clientWidth;
        const [x, y] = said.length ? [0.01, 0.01] : [205 / 210, 103.5 / 210];
        canvas.dispatchEvent(new PointerEvent("pointermove",
            {clientX: box.left + at(x), clientY: box.top + at(y)}));
        said.push(canvas.parentNode.querySelector("output").textContent);
    }
    if (said[0] === before) return setTimeout(point, 100);
    const letters = document.querySelector("input[type=search]");
    letters.value = "gt";
    letters.oninput();
    said.push(document.querySelector("output").textContent);
    document.title = said.join("|");
}, 300))</script></head>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_a_browser_tells_what_is_pointed_at_and_filters(text, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace(
            "</head>", POINT
        )
    )
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += f" --user-data-dir={tmp_path}/profile --dump-dom"
    found = subprocess.run(
        ["chromium", *flags.split(), "--virtual-time-budget=5000", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    title = re.search(r"<title>(.*?)</title>", found.stdout)[1].split("|")
    assert title == [
        "AACA, centre AC; 2 of 2 k-mers",
        "[CLS] looks at [CLS]: 25.0 %",
        "1 of 2 k-mers",
    ]


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_a_browser_has_nothing_to_complain_about(made, text, tmp_path):
    """Nothing in the console; a page with a script, which it forbids, has."""
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update"
    flags += f" --disable-sync --user-data-dir={tmp_path}/profile --dump-dom"
    flags += " --enable-logging=stderr"
    wrong = tmp_path / "wrong.html"
    wrong.write_text(text.replace("</head>", "<script>1</script></head>"))
    said = [
        subprocess.run(
            ["chromium", *flags.split(), "--virtual-time-budget=5000", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stderr
        for page in (made / "report.html", wrong)
    ]
    assert ["CONSOLE" in words for words in said] == [False, True]
