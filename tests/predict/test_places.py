"""Regions, variants and mutations: what is asked of the model, and what is refused."""

import csv
import re
import shlex

import matplotlib.image
import numpy as np
import pytest
import torch
from made import ROOT, models
from made.dataset import BASES, planted

from randommask import predict
from randommask.errors import InputError
from randommask.predict import mutate
from randommask.predict.__main__ import main
from randommask.predict.model import FineTuned
from randommask.predict.mutate import substitutions
from randommask.predict.reference import Reference
from randommask.predict.variants import Variant, pair

torch.set_num_threads(1)
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
FIRST, SECOND = planted(3, 2, 2, bases=5 * BASES)[0]
CHROMOSOMES = {"chr1": FIRST, "chr2": SECOND, "tiny": "ACGTACGTAC"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Three classes; its windows are `BASES` long."""
    return models.classifier(tmp_path_factory.mktemp("classifier"))[1]


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """Two classes: one score."""
    root = tmp_path_factory.mktemp("binary")
    return models.tuned(root, models.made(root / "data", rows=(32, 16, 16)))[0]


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """Three chromosomes in lines of 20 letters, some of them in lower case."""
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    with open(path, "w") as file:
        for name, letters in CHROMOSOMES.items():
            lines = [letters[n : n + 20] for n in range(0, len(letters), 20)]
            file.write(f">{name} made\n{lines[0].lower()}\n")
            file.writelines(f"{line}\n" for line in lines[1:])
    return path


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def said(folder, sequences):
    return FineTuned(folder).predict(list(sequences))[0]


# --- Regions --------------------------------------------------------------------------


def predicted(model, genome, tmp_path, text):
    (tmp_path / "in.bed").write_text(text)
    output = tmp_path / "out.tsv"
    missed = predict.predict(model, output, bed=tmp_path / "in.bed", genome=genome)
    assert not list(genome.parent.glob("*.fai"))  # nothing beside what is read
    return missed, rows(output)


def test_a_region_is_what_its_sequence_is(model, genome, tmp_path):
    """On the other strand too, in windows whose places count along the chromosome."""
    end = 7 + 2 * BASES
    long = f"chr1\t7\t{end}"
    text = f"track x\n#a\n{long}\tup\t0\t+\n{long}\tdown\t0\t-\nchr2\t0\t9\n"
    missed, found = predicted(model, genome, tmp_path, text)
    assert missed == 0 and {row["status"] for row in found} == {"ok"}
    assert [row["id"] for row in found] == ["up"] * 3 + ["down"] * 3 + ["chr2:0-9"]
    assert [row["strand"] for row in found] == ["+"] * 3 + ["-"] * 3 + ["."]
    assert [row["windows"] for row in found] == ["3"] * 6 + ["1"]
    pieces = []
    for row in found:
        piece = CHROMOSOMES[row["chrom"]][int(row["start"]) : int(row["end"])]
        is_down = row["strand"] == "-"
        pieces.append(piece.translate(COMPLEMENT)[::-1] if is_down else piece)
    assert int(found[3]["end"]) == end  # a region's first window on - is its last
    values = [[float(row[f"p{label}"]) for label in range(3)] for row in found]
    assert np.allclose(values, said(model, pieces), atol=1e-5)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("chrX\t0\t9", "no record 'chrX' in genome.fa"),
        ("1\t0\t9", "no record '1' in genome.fa; did you mean 'chr1'?"),
        ("tiny\t4\t11", "bases 4 to 11, expected a stretch of the 10 of tiny"),
        ("tiny\t4\t4", "bases 4 to 4, expected a stretch of the 10 of tiny"),
        ("tiny\t0\t2", "2 bases, expected at least 3"),
        ("tiny\t-1\t9", "line 2: start is '-1', expected a number of bases"),
        ("tiny\t1", "line 2: found 2 columns, expected 3 or more"),
        ("tiny\t1\t9\tx\t0\tplus", "line 2: strand is 'plus', expected +, - or ."),
        (
            f"tiny\t{'9' * 5000}\t9",
            f"line 2: start is '{'9' * 20}', expected a number of bases",
        ),
    ],
)
def test_a_region_that_is_not_there_loses_no_other(
    model, genome, tmp_path, capsys, line, status
):
    text = f"tiny\t0\t9\n{line}\ntiny\t1\t10\n"
    missed, found = predicted(model, genome, tmp_path, text)
    assert missed == 1 and [row["status"] for row in found] == ["ok", status, "ok"]
    assert found[1]["p0"] == found[1]["windows"] == found[1]["end"] == ""
    warned = [x for x in capsys.readouterr().err.splitlines() if "warning" in x]
    assert len(warned) == 1 and "1 of 3 records" in warned[0] and status in warned[0]


def test_quality_says_what_could_not_be_read(model, tmp_path):
    (tmp_path / "in.fa").write_text(f">a\nACGTNNNNAC\n>b\n{'ACGT' * BASES}\n")
    predict.predict(model, tmp_path / "out.tsv", fasta=tmp_path / "in.fa")
    found = rows(tmp_path / "out.tsv")
    assert (found[0]["unknown"], found[0]["windows"]) == ("0.4", "1")
    count = sum(row["id"] == "b" for row in found)
    assert {row["windows"] for row in found[1:]} == {str(count)} and count > 5


def test_bases_that_no_token_holds_are_counted(tmp_path):
    data = models.made(tmp_path / "data", rows=(32, 16, 16))
    folder, _, _ = models.tuned(tmp_path, data, tokenization="non-overlapping")
    k = FineTuned(folder).config.k
    (tmp_path / "in.fa").write_text(f">a\n{'ACGT' * k}\n>b\n{'ACGT' * k}A\n")
    predict.predict(folder, tmp_path / "out.tsv", fasta=tmp_path / "in.fa")
    assert [row["unread"] for row in rows(tmp_path / "out.tsv")] == ["0", "1"]


@pytest.mark.parametrize("odd", [b"*", b"-", b"1", b"\0", b"\xff"])
def test_what_is_no_letter_is_as_in_a_fasta(model, tmp_path, capsys, odd):
    """No prediction of what holds it; U and the IUPAC codes are counted."""
    genome = tmp_path / "odd.fa"
    genome.write_bytes(b">a\nACGURTACG%bTACGNTACG\nTA\n" % odd)
    # An index of bytes that are no text is one that another program made.
    (tmp_path / "odd.fa.fai").write_text("a\t21\t3\t19\t20\n")
    lines = ["a 0 9", "a 4 12", "a 4 12 x 0 -", "a 10 19"]
    (tmp_path / "in.bed").write_text("\n".join(lines))
    told = {"bed": tmp_path / "in.bed", "genome": genome}
    assert predict.predict(model, tmp_path / "out.tsv", **told) == 2
    expected = f"odd.fa: a: found {ascii(odd)[1:]} at base 10, expected IUPAC letters"
    found = rows(tmp_path / "out.tsv")
    assert [row["status"] for row in found[::3]] == ["ok", "ok"]
    assert {row["status"].split(" (")[0] for row in found[1:3]} == {expected}
    said = capsys.readouterr().err
    assert f"{genome}: 1 U read as T" in said
    assert f"{genome}: 4 letters other than ACGT read as unknown" in said
    # A variant's window holds it, or ends before.
    assert windows(genome, 12, "A", "C", "a").problem.startswith(expected)
    for position, ref in ((3, "ACGTN"), (19, "ACGTA")):
        far = windows(genome, position, "G", "C", "a", size=5)
        assert (far.ref, far.problem) == (ref, None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("chr1\t0\t9\n", r"genome\.fa\.gz: packed, expected a plain FASTA"),
        ("", r"in\.bed: 0 regions, expected at least 1"),
    ],
)
def test_files_that_cannot_be_used(model, genome, tmp_path, text, line):
    if text:
        genome = tmp_path / "genome.fa.gz"
        genome.write_bytes(b"\x1f\x8b packed")
    with pytest.raises(InputError, match=line):
        predicted(model, genome, tmp_path, text)


def test_a_genome_that_cannot_be_indexed_is_one_line(model, tmp_path):
    (tmp_path / "odd.fa").write_text(">a\nACGT\nAC\nACGTACGT\nAC\n")
    with pytest.raises(InputError, match=r"odd\.fa: cannot be indexed \(") as error:
        predicted(model, tmp_path / "odd.fa", tmp_path, "a\t0\t4\n")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("index", "line"),
    [
        ("", "not of all records"),
        ("garbage\n", "not enough values"),
        ("a\t8\t6\t4\t5\n", "not of all records"),  # an interrupted one
        ("a\t8\t6\t4\t5\nb\t3\t20\t3\t4\n", "b lies elsewhere"),
        ("a\t6\t6\t4\t5\nb\t4\t19\t4\t5\n", "a lies elsewhere"),
        ("c\t8\t6\t4\t5\nb\t4\t19\t4\t5\n", "c lies elsewhere"),
        ("a\t8\t6\t4\t5\nb\t90\t19\t90\t91\n", "b lies elsewhere"),
        ("a\t8\t6\t4\t5\nb\t4\t19\t4\t5\n", None),
        ("b\t4\t19\t4\t5\na\t8\t6\t4\t5\n", None),
    ],
)
@pytest.mark.parametrize("end", ["\n", "", "\n\n"])
def test_an_index_of_another_file_is_not_believed(tmp_path, index, line, end):
    path = tmp_path / "my.fa"
    path.write_text(f">a >b\nACGT\nACGG\n>b\nTTTA{end}")
    (tmp_path / "my.fa.fai").write_text(index)
    if line is None:
        with Reference(path) as reference:
            assert reference.read("b", 2, 4)[0].tolist() == [1, 0]
        return
    with pytest.raises(InputError, match=rf"my\.fa\.fai: .*{line}.*: delete it"):
        Reference(path)


@pytest.mark.parametrize(
    ("lines", "odd"),
    [
        ("AC GT\nACGTA\nACG", 1),
        ("ACGTA\nACGT\t\nACG", 2),
        ("ACGT \nACGT \nAC", 1),  # samtools indexes this one too
        ("ACGTA\nAC\rGT\nACG", 2),
        ("ACGTA\nACGTA\nA C", 3),
        ("A CG", 1),
        ("ACGTA\r\nACGTA\r\nACG", None),
        ("ACGTA\nACGTA\nACGTA", None),
    ],
)
def test_a_space_in_a_line_is_no_base(tmp_path, monkeypatch, lines, odd):
    """Counted as one, it would move all bases behind it."""
    monkeypatch.setattr("randommask.predict.reference.BLOCK_LINES", 1)
    path = tmp_path / "odd.fa"
    path.write_bytes(f">a\n{lines}\n>b c\nTTT\n".encode())
    with Reference(path) as reference:
        said = reference.problem("a", 0, 2)
        assert reference.problem("b", 0, 3) is None
    if odd is None:
        assert said is None
    else:
        assert said.startswith(f"odd.fa: a: line {odd} of it has a space or another")


# --- Variants -------------------------------------------------------------------------

HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\n"


def scored(model, genome, tmp_path, lines):
    (tmp_path / "in.vcf").write_text(HEAD + "".join(f"{line}\t.\n" for line in lines))
    output = tmp_path / "out.tsv"
    missed = predict.predict(model, output, vcf=tmp_path / "in.vcf", genome=genome)
    return missed, rows(output)


def windows(genome, position, ref, alt, chromosome="chr1", size=9):
    variant = Variant(1, "", chromosome, str(position), ref, alt)
    with Reference(genome) as reference:
        return pair(variant, reference, size, 3)


def test_a_variant_stands_in_the_middle_of_both_windows(genome):
    letters, at = CHROMOSOMES["chr1"], 30
    ref = letters[at]
    alt = "ACGT"["CGTA".index(ref)]
    found = windows(genome, at + 1, ref, alt)
    assert found.ref == letters[26:35] and (found.start, found.end) == (26, 35)
    assert found.alt == letters[26:30] + alt + letters[31:35]
    assert found.truncated == 0 and found.problem is None


def test_indels_fill_the_same_window(genome):
    letters = CHROMOSOMES["chr1"]
    ref = letters[30]
    found = windows(genome, 31, ref, ref + "GG")
    assert found.alt == letters[26:31] + "GG" + letters[31:33]
    deleted = windows(genome, 31, letters[30:33], ref)
    assert deleted.ref == letters[27:36]  # the middle of the three is its middle
    assert deleted.alt == letters[27:31] + letters[33:38]
    long = windows(genome, 31, ref, ref + "G" * 20)
    assert long.alt == letters[26:31] + "GGGG" and long.truncated == 16
    gone = windows(genome, 31, letters[30:50], ref)
    assert gone.ref == letters[30:39] and gone.alt == ref + letters[50:58]
    assert gone.truncated == 11


def test_at_the_ends_of_a_chromosome_the_window_is_moved(genome):
    letters = CHROMOSOMES["chr1"]
    first, last = letters[0], letters[-1]
    assert windows(genome, 1, first, "N").ref == letters[:9]
    end = windows(genome, len(letters), last, "N")
    assert end.ref == letters[-9:] and end.alt == letters[-9:-1] + "N"
    tiny = windows(genome, 3, "G", "T", "tiny", size=40)
    assert tiny.ref == CHROMOSOMES["tiny"] and tiny.alt == "ACTTACGTAC"
    short = windows(genome, 2, "CGTACGTAC", "C", "tiny", size=40)
    assert short.problem == "2 bases, expected at least 3"


def test_scores_are_those_of_the_two_windows(binary, genome, tmp_path):
    letters = CHROMOSOMES["chr2"]
    ref = letters[99]
    others = [base for base in "ACGT" if base != ref]
    lines = [f"chr2\t100\trs1\t{ref}\t{','.join(others)}", "tiny\t2\t.\tc\tT,<DEL>,*"]
    missed, found = scored(binary, genome, tmp_path, lines)
    assert missed == 0 and [row["alt"] for row in found] == [*others, "T"]
    assert [row["record"] for row in found] == ["1", "1", "1", "2"]
    assert [row["id"] for row in found] == ["rs1"] * 3 + [""]
    for row in found[:3]:
        start, end = int(row["start"]), int(row["end"])
        assert end - start == BASES and start <= 99 < end
        other = letters[start:99] + row["alt"] + letters[100:end]
        expected = said(binary, [letters[start:end], other])[:, 1]
        values = [float(row["score_ref"]), float(row["score_alt"])]
        assert np.allclose(values, expected, atol=1e-5)
        difference = float(row["difference"])
        assert np.isclose(difference, values[1] - values[0], atol=1e-6)


def test_of_many_outputs_each_has_its_difference(model, genome, tmp_path, capsys):
    _, [row] = scored(model, genome, tmp_path, ["tiny\t2\t.\tC\tT,<INS>,.,C."])
    names = [f"p{n}_{kind}" for n in range(3) for kind in ("ref", "alt", "difference")]
    assert [name for name in row if name.startswith("p") and name != "pos"] == names
    assert sum(float(row[f"p{n}_difference"]) for n in range(3)) == pytest.approx(
        0, abs=1e-5
    )
    assert "3 alternatives without a sequence" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("tiny\t2\t.\tG\tT", "REF is G, but genome.fa has C there"),
        ("tiny\t11\t.\tA\tT", "bases 10 to 11, expected a stretch of the 10 of tiny"),
        ("2\t1\t.\tA\tT", "no record '2' in genome.fa; did you mean 'chr2'?"),
        ("tiny\t0\t.\tA\tT", "line 4: POS is '0', expected 1 or more"),
        ("tiny\t1\t.\tA\tX", "line 4: ALT is 'X', expected bases"),
        (
            f"tiny\t{'9' * 5000}\t.\tA\tT",
            f"line 4: POS is '{'9' * 20}', expected 1 or more",
        ),
        (
            f"chr1\t1\t.\t{FIRST[:24]}N\tT",
            f"REF is N, but genome.fa has {FIRST[24]} there",
        ),
    ],
)
def test_a_variant_that_does_not_fit_loses_no_other(
    binary, genome, tmp_path, capsys, line, status
):
    good = "tiny\t1\t.\tA\tT"
    missed, found = scored(binary, genome, tmp_path, [good, line, good])
    assert missed == 1 and [row["status"] for row in found] == ["ok", status, "ok"]
    assert found[1]["score_ref"] == found[1]["start"] == ""
    assert f"the first is record 2: {status}" in capsys.readouterr().err


def test_what_is_no_vcf_is_one_line(binary, genome, tmp_path):
    for text, line in (
        ("chr1\t1\t.\tA\tT\n", "no header before it, expected '#CHROM POS"),
        (HEAD, "0 variants, expected at least 1"),
    ):
        (tmp_path / "in.vcf").write_text(text)
        told = {"vcf": tmp_path / "in.vcf", "genome": genome}
        with pytest.raises(InputError, match=line):
            predict.predict(binary, tmp_path / "out.tsv", **told)


# --- Mutations ------------------------------------------------------------------------


def test_every_substitution_is_asked_for(binary, tmp_path):
    whole = "ACGTNACGGT"
    (tmp_path / "one.fa").write_text(f">a\n{whole}\n")
    files = [tmp_path / f"out.{kind}" for kind in ("tsv", "png", "svg")]
    for picture in files[1:]:
        told = {"fasta": tmp_path / "one.fa", "mutates": True, "picture": picture}
        predict.predict(binary, files[0], **told)
    found = rows(files[0])
    assert len(found) == 27 and "5" not in {row["position"] for row in found}
    [own] = said(binary, [whole])
    for row in found:
        at = int(row["position"]) - 1
        assert whole[at] == row["ref"] != row["alt"]
        [other] = said(binary, [whole[:at] + row["alt"] + whole[at + 1 :]])
        assert float(row["score"]) == pytest.approx(other[1], abs=1e-5)
        difference = float(row["score"]) - own[1]
        assert float(row["difference"]) == pytest.approx(difference, abs=1e-5)
    assert matplotlib.image.imread(files[1]).std() > 0.05
    assert files[2].read_text().count("<svg") == 1


def test_the_table_of_many_outputs_names_each(model, tmp_path):
    (tmp_path / "in.csv").write_text("sequence\nACGTACG\n")
    told = {"table": tmp_path / "in.csv", "mutates": True}
    predict.predict(model, tmp_path / "out.tsv", **told, picture=tmp_path / "out.pdf")
    [header, *lines] = (tmp_path / "out.tsv").read_text().splitlines()
    expected = [name for n in range(3) for name in (f"p{n}", f"p{n}_difference")]
    assert header.split("\t") == ["position", "ref", "alt", *expected]
    assert len(lines) == 21
    _, found = substitutions(FineTuned(model), "ACGTACG")
    assert np.nansum(found, axis=2)[~np.isnan(found[..., 0])] == pytest.approx(1)


def test_a_picture_beyond_what_can_be_drawn_is_one_line(model, tmp_path, monkeypatch):
    monkeypatch.setattr(mutate, "TALLEST", 4)
    (tmp_path / "in.fa").write_text(">a\nACGT\n")
    told = {"fasta": tmp_path / "in.fa", "mutates": True}
    with pytest.raises(InputError, match=r"5 inches tall for 3 scores, expected at mo"):
        predict.predict(model, tmp_path / "o", picture=tmp_path / "o.png", **told)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (">a\nACGT\n>b\nACGT\n", "2 records, expected one to mutate"),
        (">a\n" + "ACGT" * BASES, "longer than the [0-9]+ bases that the model was"),
        (">a\nAC\n", "2 bases, expected at least 3"),
    ],
)
def test_what_cannot_be_mutated_is_one_line(model, tmp_path, text, line):
    (tmp_path / "in.fa").write_text(text)
    told = {"fasta": tmp_path / "in.fa", "mutates": True}
    with pytest.raises(InputError, match=line):
        predict.predict(model, tmp_path / "out.tsv", **told)
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("--bed x", "--genome: needed with --bed or --vcf"),
        ("--fasta x --genome y", "--genome: without --bed or --vcf"),
        ("--vcf x --genome y --mutate", "--mutate: with --vcf"),
        ("--fasta x --picture a.png", "--picture: without --mutate"),
        ("--fasta x --mutate --picture a.gif", r"a\.gif: expected a name that ends in"),
        ("--fasta x --mutate --picture ./o.png", r"\./o\.png is --output too"),
    ],
)
def test_flags_that_do_not_go_together(flags, line):
    with pytest.raises(InputError, match=line):
        main(["--model", "m", "--output", "o.png", *flags.split()])


# --- The page -------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "own-sequences.md").read_text()


def test_the_page_runs_as_written(binary, genome, tmp_path, monkeypatch):
    """And names every column of what it makes."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/models/randommask/overlapping"
    folder.mkdir(parents=True)
    (folder / "EMP-H3").symlink_to(binary)
    (tmp_path / "genome.fa").symlink_to(genome)
    for name, text in re.findall(r"^`(\S+)`:\n\n```text\n(.*?)```", PAGE, re.M | re.S):
        (tmp_path / name).write_text(re.sub(" +", "\t", text))
    (tmp_path / "one.fa").write_text(f">one\n{FIRST[:BASES]}\n")
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)).splitlines()
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "randommask.predict"]
        main(words[3:])
        found = rows(words[words.index("--output") + 1])
        assert {row.get("status", "ok") for row in found} == {"ok"}
        for column in found[0].keys() - {"p0", "p1"}:
            assert f"`{column}`" in PAGE, column
    assert (tmp_path / "mutations.png").exists()
