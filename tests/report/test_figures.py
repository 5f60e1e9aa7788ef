import json
import struct

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from randommask import kmers
from randommask.errors import InputError
from randommask.measures import readers
from randommask.measures.embeddings import center
from randommask.measures.readers import LABELS, ROLES
from randommask.report.figures import __main__ as command
from randommask.report.figures import (
    clusters,
    curves,
    milestones,
    prepared,
    ranking,
    style,
    tokens,
)

SEQUENCE = "ATTGCACGTACGGATCCTAGTCAGGA"
NOTICE = "Demo: synthetic DNA, tiny encoders. Not the paper's numbers."


def write_history(path, phases=1):
    step = np.arange(10, 401, 10)
    phase = (step - 1) * phases // 400 + 1
    loss = 1 + phase + 7 * np.exp(-step / 30)
    frame = pd.DataFrame({"step": step, "phase": phase, "max_span": 2 * phase + 4})
    frame["masked_share"], frame["loss"], frame["bound"] = 0.14, loss, phase
    frame["validation_loss"] = np.where(step % 100 == 0, loss, np.nan)
    frame["learning_rate"] = frame["gradient_norm"] = 1.0
    frame.to_csv(path, index=False)
    return path


def write_embeddings(path, steps=(0, 20, 100, 400)):
    """k = 4; the sixteen groups move apart with the steps."""
    generator = np.random.default_rng(0)
    rows = ["step,kmer,center,x,y"]
    for number, step in enumerate(steps):
        for name in kmers.names(4):
            group = style.PAIRS.index(center(name))
            x, y = generator.normal(size=2) + number * np.array(divmod(group, 4)) * 2
            rows.append(f"{step},{name},{center(name)},{x:.4f},{y:.4f}")
    path.write_text("\n".join(rows) + "\n")
    return path


def write_purity(path, steps=(0, 20, 100, 400)):
    rows = [f"{step},0.5,{0.1 + step / 500},0.06" for step in steps]
    path.write_text("\n".join(["step,silhouette,purity,chance", *rows]) + "\n")
    return path


def write_datasets(path):
    """A data page: the paper's kinds of dataset, and what an own one may be."""
    kinds = [
        ("EMP-H3", "EMP", 12000, "0:60 1:40", 0.6, 0),
        ("SSP", "SSP", 4000, "0:1 1:1 2:1", 1 / 3, 7),
        ("EAP", "EAP", 402296, "dev:0.1+-1.2 hk:0.0+-1.0", "", 0),
        ("a-name-that-is-far-too-long", "mine", 30, "0:9 1:2 2:3 3:4 4:1", 9 / 19, 0),
    ]
    rows = [",".join([*prepared.COLUMNS, "sha256"])]
    for name, task, size, labels, largest, leaks in kinds:
        published = "" if task == "mine" else 12000
        shared = [name, task, "{}", size, published, 90, 100, 0.4, labels, largest]
        for split, counts in {
            "train": [3, "", "", "", ""],
            "dev": [0, leaks, leaks, "", ""],
            "test": [0, leaks, leaks, 1, 2],
        }.items():
            line = ",".join(map(str, [*shared, *counts, "0" * 64]))
            rows.append(line.format(split))
    path.write_text("\n".join(rows) + "\n")


def write_attention(folder, role, layers=3, size=10):
    maps = np.full((layers, size, size), 1 / size, np.float32)
    np.savez(folder / f"{role}.npz", map=maps)
    frame = pd.DataFrame({"layer": range(1, layers + 1)})
    frame["cls_mass"], frame["entropy"], frame["distance"] = 1 / size, 2.3, 3.0
    frame.to_csv(folder / f"{role}.attention.csv", index=False)


@pytest.fixture
def folder(tmp_path):
    for role in ROLES:
        phases = 3 if role == "randommask" else 1
        write_history(tmp_path / f"{role}.history.csv", phases)
        write_embeddings(tmp_path / f"{role}.csv")
        write_purity(tmp_path / f"{role}.purity.csv")
        write_attention(tmp_path, role)
    write_datasets(tmp_path / "datasets.csv")
    return tmp_path


def flags_of(folder, figure, roles):
    endings = {
        "embeddings": "csv",
        "history": "history.csv",
        "purity": "purity.csv",
        "attention": "npz",
        "summary": "attention.csv",
    }
    flags = []
    if figure == "datasets":
        return ["--table", f"{folder}/datasets.csv"]
    for flag in command.FIGURES[figure][1]:
        flags += [f"--{flag}"]
        flags += [f"{role}={folder / role}.{endings[flag]}" for role in roles]
    return flags


def draw(folder, figure, roles, name, notice=NOTICE, **hparams):
    hparams["experiment"] = {"name": "demo", "notice": notice}
    made = [folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv")]
    flags = [figure, *flags_of(folder, figure, roles), "--hparams", json.dumps(hparams)]
    for flag, path in zip(("--png", "--pdf", "--csv"), made, strict=True):
        flags += [flag, str(path)]
    command.main(flags)
    return made


CASES = {
    "fig1": ([], {"k": 6, "max_span": 14, "sequence": SEQUENCE, "seed": 0}),
    "fig2": (["baseline", "nonoverlapping"], {}),
    "fig3": (["baseline"], {}),
    "fig4": (["baseline", "randommask", "nonoverlapping"], {}),
    "fig5": (["baseline", "randommask", "nonoverlapping", "mini"], {}),
    "datasets": ([], {}),
}


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(name, marks=pytest.mark.sweep if CASES[name][0] else ())
        for name in CASES
    ],
)
def test_figure_is_drawn_twice_the_same(folder, figure):
    roles, hparams = CASES[figure]
    first = draw(folder, figure, roles, "first", **hparams)
    second = draw(folder, figure, roles, "second", **hparams)
    for path, again in zip(first, second, strict=True):
        assert path.read_bytes() == again.read_bytes()
    png, pdf, csv = first
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png.read_bytes()[16:24])
    assert width == pytest.approx(style.TWO_COLUMNS * style.DPI, abs=1)
    assert 500 < height < 9 * style.DPI  # a page
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in pdf.read_bytes()
    assert len(pd.read_csv(csv)) > 0


def test_the_numbers_of_the_data_page_are_kept_as_they_are(folder):
    _, _, csv = draw(folder, "datasets", [], "data")
    given = pd.read_csv(folder / "datasets.csv", dtype=str, keep_default_na=False)
    kept = pd.read_csv(csv, dtype=str, keep_default_na=False)
    whole = [name for name in prepared.COLUMNS if name not in ("gc", "largest_class")]
    assert kept[whole].equals(given[whole])


def test_a_data_page_without_a_split_is_refused(folder):
    path = folder / "datasets.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(InputError, match="11 lines, expected a line a split"):
        draw(folder, "datasets", [], "data")


def test_what_to_look_at_is_coloured(folder):
    with style.applied():
        figure, _ = prepared.draw(str(folder / "datasets.csv"), "")
    rows, _, labels, *_ = figure.axes
    train = rows.collections[1].get_facecolors()
    marked = [to_hex(colour).upper() == prepared._ACCENT for colour in train]
    assert marked == [False, True, False, True]
    bars = {
        number: [
            to_hex(bar.get_facecolor()).upper() == prepared._ACCENT for bar in line
        ]
        for number, line in enumerate(labels.containers)
    }
    # bars in the order of the classes: 60:40, then three even ones, then five
    assert [line for marks in bars.values() for line in marks] == [
        *(True, False),
        *(False, False, False),
        *(True, False, False, False, False),
    ]


def write_table3(path, rows=4, datasets=12):
    """Row 0 is best everywhere, rows 1 and 2 take turns, the last is worst."""
    lines = ["row,encoder,tokenization,dataset,mean"]
    for number in range(datasets):
        for row in range(rows):
            mean = 88 + (row + number) % 2 if row in (1, 2) else 90 - row
            encoder = ("randommask", "dnabert", "nt", "nt")[row]
            lines.append(f"row {row},{encoder},overlapping,d{number},{mean}")
    path.write_text("\n".join(lines) + "\n")
    return path


def draw_ranks(folder, table, name, **hparams):
    hparams = {"roles": {"baseline": "dnabert", "randommask": "randommask"}} | hparams
    made = [folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv")]
    flags = ["ranks", "--table", str(table), "--hparams", json.dumps(hparams)]
    for flag, path in zip(("--png", "--pdf", "--csv"), made, strict=True):
        flags += [flag, str(path)]
    command.main(flags)
    return made


def test_ranks_are_drawn_twice_the_same_in_one_column(tmp_path):
    table = write_table3(tmp_path / "table3.csv")
    first, second = (draw_ranks(tmp_path, table, name) for name in ("a", "b"))
    for path, again in zip(first, second, strict=True):
        assert path.read_bytes() == again.read_bytes()
    width, _ = struct.unpack(">II", first[0].read_bytes()[16:24])
    assert width == pytest.approx(style.ONE_COLUMN * style.DPI, abs=1)
    numbers = pd.read_csv(first[2])
    assert len(numbers) == 4 * 12
    means = numbers.groupby("row")["mean_rank"].first()
    assert list(means) == [1.0, 2.5, 2.5, 4.0]
    assert ranking._groups(means.to_numpy(), 1.4) == [(1, 2)]
    assert ranking._groups(means.to_numpy(), 1.6) == [(0, 2), (1, 3)]
    assert ranking._groups(means.to_numpy(), None) == []


def test_without_a_data_set_of_every_row_there_are_no_ranks(tmp_path):
    path = tmp_path / "table3.csv"
    path.write_text(
        "row,encoder,tokenization,dataset,mean\n"
        "a,nt,overlapping,d,\nb,nt,overlapping,e,1\na,nt,overlapping,f,2\n"
    )
    png, _, numbers = draw_ranks(tmp_path, path, "none")
    assert numbers.read_text() == ("row,encoder,tokenization,dataset,rank,mean_rank\n")
    full = draw_ranks(tmp_path, write_table3(tmp_path / "full.csv"), "full")[0]
    assert struct.unpack(">I", png.read_bytes()[20:24])[0] < 300
    assert struct.unpack(">I", full.read_bytes()[20:24])[0] > 400


def test_every_encoder_has_its_own_colour():
    roles = {"baseline": "dnabert", "randommask": "ours"}
    colours = style.encoder_colours(roles, ["nt", "ours", "hyenadna", "dnabert"])
    assert colours["dnabert"] == style.COLOURS["baseline"]
    assert colours["ours"] == style.COLOURS["randommask"]
    assert len(set(colours.values())) == 4
    many = style.encoder_colours({}, [f"e{i}" for i in range(9)])
    assert many["e8"] == style.GREY


def test_a_branch_is_dashed_over_the_curve_it_left(folder):
    table = pd.read_csv(folder / "baseline.history.csv")
    left = table.copy()
    left.loc[25:, "loss"] += 1
    assert curves._shared(left, [table]) == 25
    assert curves._shared(left.assign(loss=9.0), [table]) == 0
    assert curves._shared(table, []) == 0


def test_absent_roles_are_not_drawn(folder):
    _, _, csv = draw(folder, "fig5", ["baseline"], "one", notice="")
    assert set(pd.read_csv(csv)["role"]) == {"baseline"}


def test_the_notice_adds_a_strip(folder):
    with_notice = draw(folder, "fig5", ["baseline"], "with")[0].read_bytes()
    without = draw(folder, "fig5", ["baseline"], "without", notice="")[0].read_bytes()
    heights = [struct.unpack(">I", png[20:24])[0] for png in (with_notice, without)]
    assert heights[0] - heights[1] == round(style.NOTICE_INCHES * style.DPI)


def test_milestones_carry_their_loss_and_purity(folder):
    files = {
        flag: {"baseline": folder / f"baseline.{ending}"}
        for flag, ending in (
            ("embeddings", "csv"),
            ("history", "history.csv"),
            ("purity", "purity.csv"),
        )
    }
    with style.applied():
        _, numbers = milestones.draw(**files, notice="", columns=3)
    assert list(numbers["step"]) == [0, 100, 400]
    history = pd.read_csv(folder / "baseline.history.csv").set_index("step")
    assert np.isnan(numbers["loss"].iloc[0])  # before the first line of the history
    assert list(numbers["loss"].iloc[1:]) == list(history["loss"].loc[[100, 400]])
    assert list(numbers["purity"]) == pytest.approx([0.1, 0.3, 0.9])


@pytest.mark.parametrize(("shortest", "longest", "hidden"), [(6, 6, 1), (9, 9, 4)])
def test_spans_hide_the_bases_that_no_token_shows(shortest, longest, hidden):
    table = tokens.mask(SEQUENCE, kmers.OVERLAPPING, 6, shortest, longest, seed=0)
    assert list(table["token"]) == [SEQUENCE[i : i + 6] for i in range(len(table))]
    masked = table["state"] == "masked"
    assert masked.sum() == shortest
    assert (table["input"][masked] == "[MASK]").all()
    assert (table["input"][~masked] == table["token"][~masked]).all()
    shown = {
        base for start in table["start"][~masked] for base in range(start, start + 6)
    }
    assert len(SEQUENCE) - len(shown) == hidden


@pytest.mark.parametrize("sequence", ["ACGT", "ACGTNACGTACGTACGTACGTACGTACGT"])
def test_sequences_without_room_are_refused(sequence):
    with pytest.raises(InputError, match="sequence"):
        tokens.mask(sequence, kmers.OVERLAPPING, 6, 6, 6, seed=0)


def test_smoothing_stays_within_its_phase():
    step = np.arange(1, 1001)
    phase = 1 + (step > 400)
    table = pd.DataFrame({"phase": phase, "loss": phase.astype(float)})
    assert list(curves.smooth(table)) == list(table["loss"])
    noisy = table.assign(loss=table["loss"] + (step % 2) - 0.5)
    spread = np.abs(curves.smooth(noisy) - table["loss"])
    assert spread.max() <= 0.5 and spread.mean() < 0.1


def test_labels_are_pushed_apart():
    generator = np.random.default_rng(0)
    points = generator.normal(scale=0.2, size=(16, 2))
    room = (1.0, 0.5)
    placed = clusters.spread(points, room)
    for first in range(16):
        for second in range(first):
            apart = np.abs(placed[first] - placed[second])
            assert (apart >= np.array(room) - 1e-6).any()
    far = points * 100
    assert clusters.spread(far, (0.01, 0.01)) == pytest.approx(far)


def test_colours_differ():
    assert len(set(style.PAIR_COLOURS.values())) == 16
    assert len(set(style.COLOURS.values())) == len(ROLES) == len(LABELS)


@pytest.mark.parametrize("pair", ["baseline", "other=x", "baseline=", "mini=a mini=b"])
def test_bad_roles_are_refused(pair):
    with pytest.raises(InputError, match=r"--history: .*expected role=path"):
        readers.by_role("--history", pair.split())


def test_bad_tables_are_named(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(FileNotFoundError, match=r"a\.csv"):
        readers.table(path, readers.PURITY)
    path.write_text("")
    with pytest.raises(InputError, match="not a csv"):
        readers.table(path, readers.PURITY)
    path.write_text("step,purity\n1,1\n")
    with pytest.raises(InputError, match="expected one named silhouette"):
        readers.table(path, readers.PURITY)
    path.write_text("step,silhouette,purity,chance\n")
    with pytest.raises(InputError, match="no rows"):
        readers.table(path, readers.PURITY)
    path.write_text("step,silhouette,purity,chance\n1,0,1,0\n2.5,0,1,0\n")
    with pytest.raises(InputError, match=r"line 3: step is '2\.5', expected a whole"):
        readers.table(path, readers.PURITY)
    path.write_text("step,silhouette,purity,chance\n1,0,oops,0\n")
    with pytest.raises(InputError, match="line 2: purity is 'oops', expected a number"):
        readers.table(path, readers.PURITY)


def test_bad_maps_are_named(folder):
    path = folder / "broken.npz"
    path.write_bytes(b"PK half")
    with pytest.raises(InputError, match="no array named map"):
        readers.attention_map(path)
    np.savez(path, map=np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"expected \(layers, T, T\)"):
        readers.attention_map(path)
    write_attention(folder, "mini", layers=2)
    np.savez(folder / "mini.npz", map=np.full((3, 4, 4), 0.25, np.float32))
    with pytest.raises(InputError, match=r"layers \[1, 2\], expected the 3"):
        draw(folder, "fig4", ["mini"], "bad")


def test_misspelt_hparams_are_named(folder):
    with pytest.raises(InputError, match="--hparams: unknown key 'colums'"):
        draw(folder, "fig2", ["baseline"], "bad", colums=3)


def test_embeddings_need_their_history(folder):
    flags = ["--embeddings", f"baseline={folder / 'baseline.csv'}"]
    flags += ["--history", f"mini={folder / 'mini.history.csv'}"]
    outputs = ["--png", "a.png", "--pdf", "a.pdf", "--csv", "a.csv"]
    with pytest.raises(InputError, match="--history: no baseline"):
        command.main(["fig2", *flags, "--hparams", "{}", *outputs])
