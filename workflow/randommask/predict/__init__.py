"""A fine-tuned model on one's own records, regions, variants and mutations."""

from contextlib import ExitStack
from pathlib import Path

from randommask import files
from randommask.data.records import Source
from randommask.predict import lines, variants
from randommask.predict.model import FineTuned
from randommask.predict.reference import Reference, Regions


def predict(
    folder: str | Path,
    output: str | Path,
    *,
    fasta: str | Path | None = None,
    table: str | Path | None = None,
    bed: str | Path | None = None,
    vcf: str | Path | None = None,
    genome: str | Path | None = None,
    mutates: bool = False,
    picture: str | Path | None = None,
) -> int:
    """Write what the model in `folder` says of the one source that is given.

    Returns how many records have no prediction, or not of all their windows. Raises
    `InputError` for a model or a file that is not as it should be as a whole.
    """
    read = (fasta, table, bed, vcf, genome, *Path(folder).glob("*"))
    for path in (output, picture):
        files.check_file(path, *read)
    model = FineTuned(folder)
    with ExitStack() as stack:
        reference = stack.enter_context(Reference(genome)) if genome else None
        if vcf:
            return variants.score(model, vcf, reference, output)
        source = Regions(bed, reference) if bed else Source(fasta, table)
        if not mutates:
            return lines.predict(model, source, output)
        from randommask.predict.mutate import mutate  # draws, which takes a second

        mutate(model, source, output, picture)
        return source.say("prediction")
