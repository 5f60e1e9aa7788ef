"""What the rules take from the experiment: names for wildcards, JSON for commands."""

import json
import re

from randommask.experiment import ablations, encoders, flags, origins, pages, releases
from randommask.experiment import runs, sections
from randommask.experiment.datasets import read as read_datasets
from randommask.experiment import finished
from randommask.training import launch

RESULTS, RESOURCES, LOGS = (
    workflow.pathvars.get(name) for name in ("results", "resources", "logs")
)
CHECKSUMS = os.path.join(RESOURCES, "checksums.tsv")
BENCHMARKS = os.path.join(LOGS, "benchmarks")
DATASETS_LIST = at_hand(experiment.benchmark.datasets)
GROUPS = experiment.ablations
PARTIAL = "--partial" if experiment.partial else ""
OURS, TAKEN, RELEASED, UNTRAINED, KMER_LINEAR, NO_MODEL, PROBES = (
    encoders.named(experiment, getattr(sections, kind))
    for kind in (
        *("Ours", "Milestone", "Released", "Untrained"),
        *("KmerLinear", "NoModel", "Probe"),
    )
)
GENOMES = {*experiment.genomes}.union(
    *(experiment.encoders[name].genomes for name in OURS)
)
FINISHED, NOT_TAKEN = finished.segments(experiment)
MILESTONES = encoders.milestone_segments(experiment)
DATASETS = {dataset.dataset: dataset for dataset in runs.benchmark(experiment)}


def one_of(names):
    """A wildcard constraint: exactly these names."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    genome=one_of(GENOMES),
    encoder=one_of(experiment.encoders),
    released=one_of(RELEASED),
    untrained=one_of(UNTRAINED),
    segment=one_of(encoders.segment_names(experiment)),
    milestone=one_of(MILESTONES),
    tokenization="overlapping|non-overlapping|character|own",
    dataset=one_of(DATASETS),
    seed=r"\d+",
    ablation=one_of(GROUPS),


def flag(settings):
    """Settings as JSON for one quoted flag, or the file that has them if they are long."""
    return flags.flag(settings, ".snakemake/randommask")


def page_flag(settings):
    """Likewise of what is made to be read: the experiment's name and notice before."""
    return flag({**pages.notice(experiment), **settings})


# Snakemake takes what a function of `resources` says for no setting of a job, so that
# another mirror, or the same list of datasets elsewhere, makes nothing anew.
def mirrors(wildcards, resources):
    """Where else downloads may come from, as JSON."""
    return flag([*experiment.mirrors])


def datasets_list(wildcards, resources):
    """The file that lists the datasets."""
    return DATASETS_LIST


def source_name(wildcards, output):
    """A download's name in `sources` and in the book of checksums."""
    return os.path.relpath(output[0], RESOURCES)


def source(name):
    """Where a genome or a benchmark comes from, as it was given; nowhere is nothing."""
    return experiment.sources[name].given() if name in experiment.sources else {}


def rows_from(wildcards):
    """Where a dataset's rows come from: one's own folder, or a downloaded source."""
    dataset = DATASETS[wildcards.dataset]
    return dataset.own_folder or f"<resources>/{runs.source_of(dataset)}"


def there(paths):
    """The paths that a rule reads; if partial, those there are."""
    exists = lambda path: os.path.exists(path.replace("<results>", RESULTS))
    return [path for path in paths if not PARTIAL or exists(path)]


def released(encoder):
    """Where a released encoder comes from, and how it is read."""
    return experiment.encoders[encoder].released.given()


def weights_of(wildcards):
    """The folder that an encoder of ours is copied from: its last, or a milestone."""
    owner, step = ablations.weights(experiment, wildcards.encoder)
    return f"<results>/pretrain/{owner}/step-{step}"


def manifests(encoder):
    """The corpus an encoder is trained on."""
    genomes = encoders.keys(experiment, encoder).genomes
    return [f"<results>/corpus/{genome}/manifest.json" for genome in genomes]


def segment_start(wildcards):
    """The folder a segment goes on from; none for the first."""
    before = encoders.predecessor(experiment, *encoders.split(wildcards.segment))
    return f"<results>/pretrain/{before[0]}/step-{before[1]}" if before else []


def segment_hparams(wildcards):
    """What the job of a segment is told."""
    return flag(encoders.segment(experiment, *encoders.split(wildcards.segment)))


def finetuning_hparams(wildcards):
    """What a run is told; the model that is kept is the first seed's."""
    encoder, tokenization = wildcards.encoder, wildcards.tokenization
    seed = int(wildcards.get("seed", experiment.seeds[0]))
    dataset = DATASETS[wildcards.dataset]
    return flag(runs.told(experiment, encoder, tokenization, dataset, seed))


def ablation_inputs(wildcards):
    """What a group's page reads: runs, and what else was measured; if partial, so far."""
    group = GROUPS[wildcards.ablation]
    measured = [f"<results>/{x}" for x in ablations.measured(experiment, group)]
    compared = sum(pages.predictions(experiment, group).values(), [])
    return there([*measured, *pages.of_runs(experiment, group), *compared])


def published_runs(wildcards):
    """The runs published with an encoder: scores and predictions; if partial, so far."""
    return there(
        path
        for table in releases.tables(experiment, wildcards.encoder)
        for file in releases.RUN
        for path in pages.of_runs(experiment, table, file)
    )


def table_inputs(wildcards):
    """A table's files by the flags of its command; if partial, the runs there are."""
    files = pages.table_files(experiment, wildcards.table)
    for name in files.keys() & {"runs", "predictions"}:
        files[name] = there(files[name])
    return files | {
        x: at_hand(files[x]) for x in files.keys() & {"datasets", "published"}
    }
