"""What a job of fine-tuning is: one run, or the runs of a cell with all its seeds.

A cell is an encoder on a dataset, its input tokenized in one way. Both kinds of job
write the same files and are told the same, so that Snakemake plans nothing anew where
`finetune.together` is switched.
"""

RUN = "<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}"
SEEDS = "seeds" if experiment.finetune.together else "seed{seed}"


def cell_hparams(wildcards):
    """What the runs of a cell are told but for their seeds, which `seeds_flag` has.

    So it is one setting, whether they are jobs of their own or one job.
    """
    dataset = DATASETS[wildcards.dataset]
    cell = (experiment, wildcards.encoder, wildcards.tokenization, dataset)
    told = runs.told(*cell, experiment.seeds[0]).values()
    return flag({key: value for key, value in told.items() if key != "seed"})


# What asks for `output` is no setting either.
def seeds_flag(wildcards, output):
    """The seeds of a job; of several those that are there already are left alone."""
    if "seed" in wildcards.keys():
        return wildcards.seed
    return " ".join([*map(str, experiment.seeds), "--keep"])


def of_seeds(path):
    """An output of a run; of all seeds of a cell where they are one job.

    They are updated, for Snakemake deletes what a job makes before it runs it.
    """
    if not experiment.finetune.together:
        return path
    return [update(path.replace("{seed}", str(seed))) for seed in experiment.seeds]
