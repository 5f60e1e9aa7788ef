"""The look into the genomes that are here."""

import gzip
import os

import pytest
import yaml

from randommask.doctor.genomes import genomes
from randommask.experiment import file

LINEAR = {"control": "kmer-linear", "grid": {"k": [3], "strength": [1.0]}}
FASTA = ">chr1 the first\nACGTACGTAC\nACGTN\n>chr2\nacgt\n"


@pytest.fixture
def look(tmp_path, monkeypatch):
    """The findings on one genome of this text, and what is beside it afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    def look(content, chromosomes=None, name="g.fa", **encoder):
        (tmp_path / "data" / name).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        config = {
            "experiment": {"name": "mine"},
            "sources": {"g": {"path": "data"}},
            "genomes": {"g": {"chromosomes": chromosomes}} if chromosomes else {},
            "encoders": {"linear": LINEAR, **encoder},
            "benchmark": {"include": []},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        return [str(one) for one in genomes(file.load(tmp_path / "config.yaml"))]

    return look


def test_names_and_lengths_are_told(look, tmp_path):
    assert look(FASTA) == ["ok       genome      g: 2 sequences, 19 b"]
    assert look(FASTA, ["chr2"]) == ["ok       genome      g: 1 sequences, 4 b"]
    assert os.listdir(tmp_path / "data") == ["g.fa"]  # and no index beside it


def test_a_chromosome_that_is_not_there(look):
    [line] = look(FASTA, ["chr2", "chrX"])
    assert line.startswith("problem") and "g: no chrX, found chr1, chr2" in line
    assert "name its records in genomes: g: chromosomes" in line


def test_packed_files_have_names(look):
    assert look(gzip.compress(FASTA.encode()), ["chr1"], name="g.fa.gz") == [
        "ok       genome      g: 1 sequences"
    ]


def test_an_index_of_samtools_is_taken_where_it_is_newer(look, tmp_path):
    index = tmp_path / "data" / "g.fa.fai"
    index.write_text("chr1\t15\t16\t10\t11\nchr2\t4\t40\t4\t5\nchr3\t4\t40\t4\t5\n")
    os.utime(index, (4e9, 4e9))
    assert "3 sequences" in look(FASTA)[0]
    os.utime(index, (1, 1))
    assert "2 sequences" in look(FASTA)[0]
    assert index.stat().st_mtime == 1


def test_lines_of_any_length_need_no_index(look):
    assert look(">a\nAC\nACGT\nA\n>b\nAC\n", ["a", "b"]) == [
        "ok       genome      g: 2 sequences"
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (">p\nMKVLA\nMKV\n", "record p: found 'L' near base 1, expected IUPAC"),
        ("ACGT\n", "not FASTA"),
        ("", "empty file"),
        (gzip.compress(FASTA.encode(), mtime=0)[:-9], "the gzip ends too early"),
    ],
)
def test_what_is_no_genome(look, content, said):
    [line] = look(content)
    assert line.startswith("problem") and said in line


def test_chromosomes_to_hold_out_are_there(look):
    ours = {"steps": 10, "held_out": ["chr2", "chr9"]}
    findings = look(FASTA, mine=ours)
    assert len(findings) == 2 and "held_out: no genome has chr9" in findings[1]
    [only] = look(FASTA, mine=ours | {"held_out": ["chr2"]})
    assert only.startswith("ok")
