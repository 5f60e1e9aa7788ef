"""Apply a fine-tuned model to sequences of one's own.

    python -m randommask.predict --model results/models/randommask/overlapping/EMP-H3 \
        --fasta my.fa --output predictions.tsv

`--csv FILE` takes a table, parted by commas or tabs, with a column `sequence` and, if
it has one, `id` (else the id is the row from 0). `--bed FILE --genome FASTA` takes
regions of a genome, `--vcf FILE --genome FASTA` what variants change there, and
`--mutate` what every substitution of one sequence changes. `docs/inputs.md` says how
files are read, `docs/own-sequences.md` what is written. The model's folder is what
`snakemake results/models/<encoder>/<tokenization>/<dataset>` makes.

The output is tab-separated, in the order of the input: `record` (its number, from 1),
`id`, `start`, `end` (bases from 0, the end not included), then `p0`, `p1`, ... the
probabilities of the classes, `p_<label>` of labels, or `y_<target>` in the target's own
unit; how well it could be read (`windows` of the record, the share of `unknown` bases,
those at the end that are `unread`), and `status`, which is `ok`, or why there is no
prediction: the numbers are then left out. A record that cannot be predicted does not
lose the others; there being some is said on stderr, and the exit status is 3.

A model is shown what it was trained on: a sequence longer than the longest
training sequence is cut into windows of that length, each starting half a window after
the one before, the last one ending with the sequence; each window is a line. A shorter
sequence is one line. U is read as T, other letters than A, C, G and T count as N.

Memory is bounded by the longest record, a byte a base, and by the names.
"""

import argparse
import sys
from pathlib import Path

from randommask import files
from randommask.data.records import INCOMPLETE
from randommask.errors import InputError, run
from randommask.predict import predict
from randommask.training import memory

PICTURES = (".png", ".svg", ".pdf")


def check(flags: argparse.Namespace) -> None:
    """Raise `InputError` for flags that do not go together."""
    if bool(flags.genome) != bool(flags.bed or flags.vcf):
        found = "without" if flags.genome else "needed with"
        raise InputError(f"--genome: {found} --bed or --vcf, expected both or neither")
    if flags.mutate and flags.vcf:
        raise InputError("--mutate: with --vcf, expected one of them")
    if flags.picture:
        if not flags.mutate:
            raise InputError("--picture: without --mutate, expected both")
        if Path(flags.picture).suffix not in PICTURES:
            kinds = ", ".join(PICTURES)
            raise InputError(f"{flags.picture}: expected a name that ends in {kinds}")
        if Path(flags.picture).resolve() == Path(flags.output).resolve():
            raise InputError(f"--picture: {flags.picture} is --output too")


def main(argv: list[str] | None = None) -> None:
    """Read the flags and predict."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.predict", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", required=True, help="folder of a fine-tuned model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--fasta", help="FASTA, plain or gzip")
    source.add_argument("--csv", help="table with a column `sequence`, plain or gzip")
    source.add_argument("--bed", help="regions of a genome, plain or gzip")
    source.add_argument("--vcf", help="variants of a genome, plain or gzip")
    parser.add_argument("--genome", help="plain FASTA, for --bed and --vcf")
    parser.add_argument(
        "--mutate", action="store_true", help="every substitution of the one sequence"
    )
    parser.add_argument("--output", required=True, help="tab-separated table to write")
    parser.add_argument("--picture", help="of --mutate: name.png, .svg or .pdf")
    flags = parser.parse_args(argv)
    for path in (flags.output, flags.picture):
        files.check_file(path)
    check(flags)
    memory.keep_freed()
    missed = predict(
        flags.model,
        flags.output,
        fasta=flags.fasta,
        table=flags.csv,
        bed=flags.bed,
        vcf=flags.vcf,
        genome=flags.genome,
        mutates=flags.mutate,
        picture=flags.picture,
    )
    if missed:
        sys.exit(INCOMPLETE)


if __name__ == "__main__":
    run(main)
