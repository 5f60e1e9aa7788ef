"""Codes, shards and the manifest, and what is said of a FASTA that is none."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from randommask import genome, reading
from randommask.data import shards
from randommask.errors import InputError
from randommask.files import WORKFLOW, sha256


def tokenize(source, output, chromosomes=None):
    shards.tokenize(source, output, "g", chromosomes)
    return json.loads((output / "manifest.json").read_text())


def fasta(tmp_path, content, name="g.fa"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def error(source, output, chromosomes=None):
    with pytest.raises(InputError) as caught:
        shards.tokenize(source, output, "g", chromosomes)
    assert not output.exists() and not list(output.parent.glob(".*aside*"))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_shards_without_their_manifest_are_replaced(tmp_path):
    """Snakemake deletes the declared output only before the job runs again."""
    output = tmp_path / "g"
    tokenize(fasta(tmp_path, ">chr1\nACGT\n>chr2\nACGT\n"), output)
    (output / "manifest.json").unlink()
    tokenize(fasta(tmp_path, ">chr1\nACGT\n"), output)
    assert sorted(path.name for path in output.iterdir()) == [
        "chr1.npy",
        "manifest.json",
    ]
    (output / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        tokenize(fasta(tmp_path, ">chr1\nACGT\n"), output)


# --- codes ---------------------------------------------------------------------------


def test_encode_names_the_bases_in_order_and_either_case():
    codes = genome.encode("ATCGatcgNnRx-\n")
    assert codes.dtype == np.uint8
    assert codes.tolist() == [0, 1, 2, 3, 0, 1, 2, 3] + [4] * 6


@given(st.text(alphabet="ACGTN", max_size=300))
def test_decode_is_the_inverse_of_encode(sequence):
    assert genome.decode(genome.encode(sequence)) == sequence
    assert (genome.encode(sequence) == genome.encode(sequence.lower().encode())).all()


@given(st.text(max_size=100))
def test_encode_gives_one_code_a_character_of_any_text(text):
    codes = genome.encode(text)
    known = {"U": 1, "u": 1}
    known |= {c: code for c, code in zip("ATCGatcg", [0, 1, 2, 3] * 2, strict=True)}
    assert codes.tolist() == [known.get(c, 4) for c in text]


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 4, 4]), max_size=60))
def test_intervals_are_the_maximal_runs_of_bases(values):
    codes = np.array(values, np.uint8)
    found = genome.intervals(codes)
    covered = np.zeros(len(codes), bool)
    for start, end in found:
        assert start < end
        covered[start:end] = True
    assert (covered == (codes < 4)).all()
    assert (found[1:, 0] > found[:-1, 1]).all()


# --- reading -------------------------------------------------------------------------

RECORDS = {
    "chr1": "acgtNNNNACGTryACGT" * 40,
    "chr2": "GATTACA" * 31,
    "chrM": "C",
}


def text_of(records, width=50, end="\n"):
    lines = []
    for name, sequence in records.items():
        lines.append(f">{name} some > words")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return end.join(lines) + end


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_records_do_not_depend_on_blocks_or_line_ends(
    tmp_path, monkeypatch, block, end
):
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    path = fasta(tmp_path, "\n \n" + text_of(RECORDS, end=end) + "\n\n")
    found = {name: codes for name, codes in genome.read_fasta(path)}
    assert list(found) == list(RECORDS)
    for name, sequence in RECORDS.items():
        assert (found[name] == genome.encode(sequence)).all()


def test_records_that_are_not_wanted_are_passed_over(tmp_path):
    path = fasta(tmp_path, ">a\nAC\n>odd\n???\n>b\nGT")
    found = dict(genome.read_fasta(path, {"a", "b"}))
    assert found["odd"] is None
    assert found["b"].tolist() == [3, 1]


def test_gzip_and_bgzip_are_known_by_their_bytes(tmp_path):
    text = text_of(RECORDS).encode()
    plain = tokenize(fasta(tmp_path, text), tmp_path / "plain")
    packed = fasta(tmp_path, gzip.compress(text, mtime=0), "called-plain.fa")
    members = (
        gzip.compress(text[:500], mtime=0)
        + gzip.compress(text[500:])
        + gzip.compress(b"")
    )
    blocked = fasta(tmp_path, members, "blocked")
    for path in (packed, blocked):
        manifest = tokenize(path, tmp_path / "packed")
        assert manifest["chromosomes"] == plain["chromosomes"]


# --- the folder ----------------------------------------------------------------------


def test_manifest_and_shards_agree(tmp_path):
    path = fasta(tmp_path, text_of(RECORDS))
    manifest = tokenize(path, tmp_path / "corpus")
    assert (manifest["genome"], manifest["alphabet"]) == ("g", "ATCG")
    assert manifest["sources"] == [{"file": "g.fa", "sha256": sha256(path)}]
    assert [c["name"] for c in manifest["chromosomes"]] == list(RECORDS)
    for chromosome in manifest["chromosomes"]:
        shard = tmp_path / "corpus" / chromosome["file"]
        codes = np.load(shard, mmap_mode="r")
        assert codes.dtype == np.uint8
        assert (codes == genome.encode(RECORDS[chromosome["name"]])).all()
        assert chromosome["length"] == len(codes)
        assert chromosome["sha256"] == sha256(shard)
        assert chromosome["intervals"] == genome.intervals(codes).tolist()


def test_a_folder_is_read_by_name_and_chromosomes_keep_the_order_asked_for(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    fasta(source, ">chr9\nAC\n", "b.fna")
    fasta(source, gzip.compress(b">chr10\nGG\n>chr11\nT\n", mtime=0), "a.fa.gz")
    fasta(source, "nothing", "README.txt")
    fasta(source, "nothing", ".c.fa")
    manifest = tokenize(source, tmp_path / "all")
    assert [c["name"] for c in manifest["chromosomes"]] == ["chr10", "chr11", "chr9"]
    assert [s["file"] for s in manifest["sources"]] == ["a.fa.gz", "b.fna"]
    some = tokenize(source, tmp_path / "some", ["chr9", "chr10"])
    assert [c["name"] for c in some["chromosomes"]] == ["chr9", "chr10"]
    assert not (tmp_path / "some" / "chr11.npy").exists()


def test_a_second_run_makes_the_same_bytes(tmp_path):
    path = fasta(tmp_path, text_of(RECORDS))
    for _ in range(2):
        tokenize(path, tmp_path / "corpus")
        sums = [sha256(f) for f in sorted((tmp_path / "corpus").iterdir())]
        assert len(sums) == 4
    tokenize(path, tmp_path / "again")
    assert sums == [sha256(f) for f in sorted((tmp_path / "again").iterdir())]


# --- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b" \n\n", "empty file"),
        (b"ACGT\n", "starts with 'ACGT'"),
        (b"<!DOCTYPE html>\n<html>", "starts with '<!DOCTYPE html>'"),
        (b"BZh91AY&SY", "not FASTA"),
        (b">\nACGT\n", "no name"),
        (b">a\nACGT\n>b\n>c\nA\n", "record b: empty, expected bases"),
        (b">a\nAC\n>b", "record b: empty, expected bases"),
        (b">a\nAC\nGX\n", "record a: found 'X' at base 4"),
        (b">a\nAC\nG>T\n", "record a: found '>' at base 4"),
        (b">a\nAC\xff\n", r"record a: found '\xff' at base 3"),
        (b">a\nAC\n>b\nC\n>a\nG\n", "record a is in "),
        (b">a/b\nAC\n", "record name 'a/b' is no file name"),
        (b">..\nAC\n", "is no file name"),
        (b">a\nNNNN\n", "no A, C, G or T"),
        (gzip.compress(b">a\nACGTACGT\n" * 9, mtime=0)[:-9], "truncated"),
        (gzip.compress(b">a\nACGT\n", mtime=0)[:-8] + b"\0" * 8, "broken gzip"),
        (b"\x1f\x8b\x08" + b"\xff" * 40, "gzip"),
    ],
)
def test_what_is_no_genome_is_one_line(tmp_path, content, said):
    path = fasta(tmp_path, content)
    message = error(path, tmp_path / "corpus")
    assert said in message
    assert str(tmp_path) in message


def test_a_wrong_source_is_one_line(tmp_path):
    output = tmp_path / "corpus"
    assert "no such file" in error(tmp_path / "absent.fa", output)
    empty = tmp_path / "empty"
    empty.mkdir()
    fasta(empty, ">a\nAC\n", "a.txt")
    assert "no FASTA here" in error(empty, output)


def test_absent_chromosomes_are_named_beside_those_found(tmp_path):
    path = fasta(tmp_path, "".join(f">s{i}\nACGT\n" for i in range(20)))
    message = error(path, tmp_path / "corpus", ["s1", "chrX", "chrY"])
    assert (
        "no chromosome chrX, chrY, found s0, s1, s2, s3, s4, s5 and 14 more" in message
    )


def test_the_same_name_in_two_files_is_refused(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    fasta(source, ">a\nAC\n", "1.fa")
    fasta(source, ">a\nAC\n", "2.fa")
    message = error(source, tmp_path / "corpus")
    assert "1.fa" in message and "2.fa" in message


def test_the_command_says_error_and_exits_with_one(tmp_path):
    env = os.environ | {"PYTHONPATH": str(WORKFLOW)}
    command = [sys.executable, "-m", "randommask.data.shards"]
    command += ["--output", tmp_path / "out"]
    command += ["--hparams", '{"genome": "g", "chromosomes": null}', "--source"]
    bad = subprocess.run(
        [*command, fasta(tmp_path, "nothing")],
        env=env,
        capture_output=True,
        text=True,
    )
    assert bad.returncode == 1
    assert bad.stderr.startswith("error: ") and bad.stderr.count("\n") == 1
    subprocess.run([*command, fasta(tmp_path, ">a\nAC\n")], env=env, check=True)
    assert (tmp_path / "out" / "manifest.json").exists()


def test_the_old_name_of_the_command_is_no_silent_success(tmp_path):
    source, output = fasta(tmp_path, ">a\nACGTN\n"), tmp_path / "corpus"
    line = [sys.executable, "-m", "randommask.genome", "--source", str(source)]
    line += ["--hparams", '{"genome": "g", "chromosomes": null}']
    line += ["--output", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    subprocess.run(line, env=environment, check=True, capture_output=True)
    assert np.load(output / "a.npy").tolist() == [0, 2, 3, 1, 4]
