"""What the rules take from the config: names for wildcards, JSON for commands."""

import json

from randommask.experiment.datasets import read as read_datasets

RESULTS = config["pathvars"]["results"]
CHECKSUMS = os.path.join(config["pathvars"]["resources"], "checksums.tsv")
BENCHMARKS = os.path.join(config["pathvars"]["logs"], "benchmarks")
# A job's resource and no parameter: another mirror fetches nothing anew.
MIRRORS = json.dumps(config["mirrors"])
# Likewise the list's file: in another one the same row is not prepared again.
DATASETS_LIST = config["benchmark"]["datasets"]
PARTIAL = "--partial" if config.get("partial") else ""
OURS = [name for name in config["encoders"] if encoders.is_ours(config, name)]
TAKEN = [name for name, entry in config["encoders"].items() if "milestone" in entry]
RELEASED = [name for name, entry in config["encoders"].items() if "released" in entry]
UNTRAINED, KMER_LINEAR = (
    [name for name in config["encoders"] if encoders.control(config, name) == kind]
    for kind in (encoders.UNTRAINED, encoders.KMER_LINEAR)
)
GENOMES = {*config["genomes"]}.union(
    *(encoders.merged(config, name)["genomes"] for name in OURS)
)
SEGMENTS = encoders.segment_names(config)
MILESTONES = encoders.milestone_segments(config)
DATASETS = {dataset.dataset: dataset for dataset in runs.benchmark(config)}
CONTROLS = [*UNTRAINED, *KMER_LINEAR]
EXPERIMENT = {
    "experiment": {key: config["experiment"][key] for key in ("name", "notice")}
}
# the roles that are drawn: spaces of embeddings, maps of attention, curves of loss
SPACES = ["baseline", "nonoverlapping"]
MAPS = ["baseline", "randommask", "nonoverlapping"]
CURVES = ["baseline", "randommask", "nonoverlapping", "mini"]


def one_of(names):
    """A wildcard constraint: exactly these names."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    genome=one_of(GENOMES),
    encoder=one_of(config["encoders"]),
    released=one_of(RELEASED),
    untrained=one_of(UNTRAINED),
    segment=one_of(SEGMENTS),
    milestone=one_of(MILESTONES),
    tokenization="overlapping|non-overlapping|character",
    dataset=one_of(DATASETS),
    seed=r"\d+",
    ablation=one_of(config.get("ablations", {})),


def local_source(source):
    """The local copy a source is taken from, as a rule's input; none for a download."""
    return config["sources"][source].get("path", [])


def source_spec(source):
    """A source as JSON; a local copy's path is its rule's input already."""
    return json.dumps(config["sources"][source])


def released_copy(encoder):
    """The local copy a released encoder is taken from; none for a download."""
    return config["encoders"][encoder]["released"].get("path", [])


def rows_from(wildcards):
    """Where a dataset's rows come from: one's own folder, or a downloaded source."""
    dataset = DATASETS[wildcards.dataset]
    return dataset.own_folder or f"<resources>/{runs.source_of(dataset)}"


def prepared_row(dataset):
    """What preparation takes from a dataset's row: another value prepares it again."""
    row = DATASETS[dataset]
    return [
        row.task,
        row.source,
        row.classes,
        *row.targets,
        row.bases,
        *row.rows.values(),
    ]


def made_rows():
    """What the made world takes from the list: no dataset of one's own, no task."""
    listed = read_datasets(DATASETS_LIST)
    return sorted(
        f"{row.source} {row.bases} {row.classes}"
        for row in listed
        if not row.own_folder
    )


def rows_of(table, **options):
    """The rows of a table or an ablation with its datasets and seeds, as JSON."""
    return json.dumps(
        {
            **EXPERIMENT,
            **options,
            "rows": [{"published": None, **row} for row in table["rows"]],
            "datasets": runs.table_datasets(config, table),
            "seeds": config["seeds"],
        }
    )


def runs_of(table, file="metrics.json"):
    """One file of all runs behind a table or an ablation; if partial, those there are."""
    datasets = runs.table_datasets(config, table)
    paths = [
        path
        for row in table["rows"]
        for path in expand(
            f"<results>/finetune/{{encoder}}/{{tokenization}}/{{dataset}}/seed{{seed}}/{file}",
            encoder=row["encoder"],
            tokenization=row["tokenization"],
            dataset=datasets,
            seed=config["seeds"],
        )
    ]
    return there(paths)


def there(paths):
    """The paths that a rule reads; if partial, those there are."""
    return [
        path for path in paths if not PARTIAL or os.path.exists(resolved([path])[0])
    ]


def by_role(pattern, roles):
    """`role=path` for each role that the config fills; `{encoder}` in the path too."""
    return [
        f"{role}={pattern.format(encoder=config['roles'][role])}"
        for role in roles
        if role in config["roles"]
    ]


def files_of(*flags):
    """The paths in lists of `role=path`, as a rule's input."""
    return [flag.partition("=")[2] for part in flags for flag in part]


def resolved(flags):
    """`role=path` with the results' place filled in, as a shell command needs it."""
    return [flag.replace("<results>", RESULTS) for flag in flags]


def last_segment(encoder):
    """The folder of the encoder's last segment."""
    return f"<results>/pretrain/{encoder}/step-{encoders.segment_ends(config, encoder)[-1]}"


def weights_of(encoder):
    """The folder that an encoder of ours is copied from: its last, or a milestone."""
    taken = config["encoders"][encoder].get("milestone")
    if taken is None:
        return last_segment(encoder)
    return f"<results>/pretrain/{taken['encoder']}/step-{taken['step']}"


def manifests(encoder):
    """The corpus an encoder is trained on."""
    genomes = encoders.merged(config, encoder)["genomes"]
    return [f"<results>/corpus/{genome}/manifest.json" for genome in genomes]


def histories(roles):
    """`role=path` of the loss from the first step to the last."""
    return [
        f"{role}={last_segment(config['roles'][role])}/history.csv"
        for role in roles
        if role in config["roles"]
    ]


def segment_start(wildcards):
    """The folder a segment goes on from; none for the first."""
    before = encoders.predecessor(config, *encoders.split(wildcards.segment))
    return f"<results>/pretrain/{before[0]}/step-{before[1]}" if before else []


def starting_flag(wildcards, input):
    """The flag with the folder that a segment goes on from, quoted; none for the first."""
    return f"--from {shlex.quote(input.start)}" if input.start else ""


def segment_hparams(wildcards):
    """A segment's settings as JSON, for one quoted flag."""
    return json.dumps(encoders.segment(config, *encoders.split(wildcards.segment)))


def gpus_a_node(resources):
    """GPUs of a job on each of its nodes, as `gpu=` or, over several nodes, `gres=`."""
    return resources.gpu or int(resources.get("gres", "gpu:0").rpartition(":")[2])


def launcher(wildcards, resources):
    """One process for each GPU, on one node or several; plain Python where one is enough."""
    nodes, gpus = resources.get("nodes", 1), gpus_a_node(resources)
    if nodes * gpus <= 1:
        return "python -m"
    if nodes == 1:
        return f"torchrun --standalone --nproc-per-node {gpus} -m"
    # the first node's port: another for every job
    return (
        f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 "
        f"torchrun --nnodes {nodes} --nproc-per-node {gpus} --rdzv-backend c10d "
        "--rdzv-id $SLURM_JOB_ID "
        "--rdzv-endpoint $(hostname):$((20000 + SLURM_JOB_ID % 10000)) -m"
    )


def device(wildcards, resources):
    """What hides GPUs from a job without one, or waits for free ones (local profile)."""
    if not gpus_a_node(resources):
        return "CUDA_VISIBLE_DEVICES="
    if not resources.get("gpu_share"):
        return ""
    return f"python -m randommask.training.gpu --gpus {resources.gpu} --share {resources.gpu_share} --"


def processes(wildcards, resources):
    """How many processes the launcher is asked for."""
    return max(1, resources.get("nodes", 1) * gpus_a_node(resources))


def finetune_hparams(wildcards, seed):
    """A run's settings as JSON, for one quoted flag."""
    return json.dumps(
        runs.finetuning(
            config,
            wildcards.encoder,
            wildcards.tokenization,
            DATASETS[wildcards.dataset],
            int(seed),
        )
    )


def counting_hparams(wildcards):
    """A run of the linear control as JSON, for one quoted flag."""
    return json.dumps(
        runs.counting(
            config,
            wildcards.encoder,
            wildcards.tokenization,
            DATASETS[wildcards.dataset],
            int(wildcards.seed),
        )
    )


def recipe_hparams(name):
    """The fine-tuning settings under one recipe as JSON."""
    shared = config["finetune"]
    keys = ["betas", "eps", "weight_decay", "warmup_steps", "clip"]
    return json.dumps(
        {
            **EXPERIMENT,
            "recipe": name,
            "settings": {"optimizer": "AdamW", **{key: shared[key] for key in keys}},
            "datasets": {
                dataset.dataset: runs.recipe(config, name, dataset)
                for dataset in DATASETS.values()
            },
            "used": shared["recipe"] == name,
        }
    )


def figure_hparams(**options):
    """The experiment and a figure's own options as JSON."""
    return json.dumps({**EXPERIMENT, **options})


def vocab_size(role):
    """Tokens that the encoder in a role knows: five specials and its k-mers."""
    return 5 + 4 ** encoders.merged(config, config["roles"][role])["k"]
