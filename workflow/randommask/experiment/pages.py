"""What each table and figure is made from, and what its command is told.

A file's place begins with `<results>`, as in the rules. Figures read one file for each
of the roles that they draw, as far as the config fills them. Snakemake imports this
module while it plans, so it imports nothing heavy.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from randommask.errors import InputError
from randommask.experiment import encoders, flags, runs
from randommask.experiment.sections import Experiment, Table2, Table3, Untrained

SPACES = ("baseline", "nonoverlapping")
MAPS = ("baseline", "randommask", "nonoverlapping")
CURVES = ("baseline", "randommask", "nonoverlapping", "mini")
"""The roles whose embeddings, attention and loss are drawn."""

NEEDED = {
    "fig1": ("randommask",),
    "fig2": SPACES,
    "fig3": SPACES[:1],
    "fig4": MAPS,
    "fig5": MAPS,
    "observations": MAPS,
}
"""The roles that a page cannot do without."""

SEQUENCE = "ATGACGTTCAGGCTAACGTACTGA"
"""What Figure 1 tokenizes and masks: any would do, repeats would be hard to read."""

TABLES = ("table1", "table2", "table3", "table4", "table5")
TABLES += ("statistics", "datasets", "leaks")
FIGURES = ("fig1", "fig2", "fig3", "fig4", "fig5", "datasets", "ranks")

Told = dict[str, Any]
Files = dict[str, str | list[str]]


def notice(experiment: Experiment) -> Told:
    """The name of the experiment and what stands on all that is made in it."""
    named = experiment.experiment
    return {"experiment": {"name": named.name, "notice": named.notice}}


def of_runs(
    experiment: Experiment, table: runs.Table, file: str = "metrics.json"
) -> list[str]:
    """One file of every run behind a table or an ablation."""
    names = runs.table_datasets(experiment, table)
    return [
        f"<results>/finetune/{row.encoder}/{row.tokenization}/{name}/seed{seed}/{file}"
        for row in runs.trials(experiment, table)
        for name in names
        for seed in experiment.seeds
    ]


def table_files(experiment: Experiment, name: str) -> Files:
    """What a table is made from, by the flag of its command.

    Raises `InputError` for one that has no rows, or no baseline to compare with.
    """
    listed = experiment.benchmark.datasets
    if name == "datasets":
        names = _names(experiment)
        return {
            "summaries": _of_datasets(names, "summary.json"),
            "leaks": _of_datasets(names, "leaks.json"),
        }
    if name in ("table4", "table5"):
        return {"datasets": listed, "published": "config/published/recipes.csv"}
    if name not in ("table2", "table3", "statistics", "leaks"):
        return {"datasets": listed}
    table = _table(experiment, name)
    if name == "leaks":
        names = runs.table_datasets(experiment, table)
        own = [*_of_datasets(names, "test.parquet"), *_of_datasets(names, "leaks.json")]
        return {
            "runs": of_runs(experiment, table),
            "predictions": of_runs(experiment, table, "predictions.parquet"),
            "benchmark": own,
        }
    if name == "statistics":
        _role(experiment, name, "baseline")
        names = runs.table_datasets(experiment, table)
        return {
            "table3": "<results>/tables/table3.csv",
            "runs": of_runs(experiment, table),
            "predictions": of_runs(experiment, table, "predictions.parquet"),
            "benchmark": _of_datasets(names, "test.parquet"),
        }
    files = {
        "runs": of_runs(experiment, table),
        "datasets": listed,
        "published": f"config/published/{name}.csv",
    }
    return files | (predictions(experiment, table) if name == "table3" else {})


def predictions(experiment: Experiment, table: runs.Table) -> Files:
    """What gains over random weights are made from; nothing where no row has them."""
    untrained = encoders.named(experiment, Untrained)
    if not any(row.encoder in untrained for row in table.rows):
        return {}
    names = runs.table_datasets(experiment, table)
    return {
        "predictions": of_runs(experiment, table, "predictions.parquet"),
        "benchmark": _of_datasets(names, "test.parquet"),
    }


def _table(experiment: Experiment, name: str) -> Table2 | Table3:
    """The rows behind Table 2, Table 3 or the statistics, which are of Table 3."""
    key = "table2" if name == "table2" else "table3"
    table = getattr(experiment.tables, key)
    if not table.rows:
        raise InputError(f"tables.{key}.rows: found none, which {name} needs")
    return table


def _role(experiment: Experiment, name: str, role: str) -> str:
    """The encoder in a role that a page shows."""
    if (encoder := getattr(experiment.roles, role)) is None:
        raise InputError(f"roles: no key {role!r}, whose encoder {name} shows")
    return encoder


def table_hparams(experiment: Experiment, name: str) -> Told:
    """What the command of a table is told."""
    if name == "datasets":
        return {}
    if name == "table1":
        return {"datasets": _names(experiment)}
    if name in experiment.recipes:
        return _recipe(experiment, name)
    table, options = _table(experiment, name), {}
    if name == "table3":
        options["controls"] = encoders.controls(experiment)
        options["untrained"] = encoders.named(experiment, Untrained)
    if name == "statistics":
        options["baseline"] = _role(experiment, name, "baseline")
    return {
        **options,
        "rows": runs.table_rows(table),
        "datasets": runs.table_datasets(experiment, table),
        "seeds": experiment.seeds,
    }


def table_flags(wildcards: Any, input: Any, output: Any) -> str:
    """The flags of a table's files, quoted; of runs and data sets the folder of all."""
    places = {name: paths for name, paths in input.items() if name != "predictions"}
    results = Path(output.csv).parents[1]
    for name, folder in (("runs", "finetune"), ("benchmark", "benchmark")):
        if name in places:
            places[name] = str(results / folder)
    if "averages" in output.keys():  # noqa: SIM118
        places["averages"] = output.averages
    return flags.quoted(places)


def _recipe(experiment: Experiment, name: str) -> Told:
    shared = experiment.finetune
    keys = ("betas", "eps", "weight_decay", "warmup_steps", "clip")
    return {
        "recipe": name,
        "settings": {
            "optimizer": "AdamW",
            **{key: getattr(shared, key) for key in keys},
        },
        "datasets": {
            dataset.dataset: runs.recipe(experiment, name, dataset)
            for dataset in runs.benchmark(experiment)
        },
        "used": shared.recipe == name,
    }


def figure_files(experiment: Experiment, name: str) -> Files:
    """What a figure, or the observations, is made from, by the flag of the command.

    Of a history the folder of the segment that has it, which is what a job makes.
    """
    space, mapped = "figures/embeddings/{}.csv", "figures/attention/{}.csv"
    purity = "figures/embeddings/{}.purity.csv"
    if name in ("datasets", "ranks"):
        table = "table3" if name == "ranks" else name
        return {"table": f"<results>/tables/{table}.csv"}
    patterns = {
        "fig1": {},
        "fig2": {"embeddings": space, "purity": purity},
        "fig3": {"embeddings": space, "purity": purity},
        "fig4": {"attention": "figures/attention/{}.npz", "summary": mapped},
        "fig5": {},
        "observations": {"purity": purity, "attention": mapped},
    }[name]
    for role in NEEDED.get(name, ()):
        _role(experiment, name, role)
    named = experiment.roles.given()
    files = {
        flag: [f"<results>/{pattern.format(encoder)}" for encoder in drawn]
        for flag, pattern in patterns.items()
        if (drawn := [named[role] for role in roles(experiment, name, flag)])
    }
    if histories := roles(experiment, name, "history"):
        files["history"] = [last_segment(experiment, named[role]) for role in histories]
    return files


def roles(experiment: Experiment, name: str, flag: str) -> list[str]:
    """The roles behind a flag's files, in their order; none where they have no role."""
    curves = {"fig2": SPACES, "fig5": CURVES, "observations": CURVES}
    drawn = {
        "embeddings": SPACES[:1] if name == "fig3" else SPACES,
        "purity": SPACES[:1] if name == "fig3" else SPACES,
        "attention": MAPS,
        "summary": MAPS,
        "history": curves.get(name, ()),
    }.get(flag, ())
    return [role for role in drawn if getattr(experiment.roles, role)]


def figure_flags(experiment: Experiment, name: str, input: Any) -> str:
    """The flags of a figure's files, each `role=path`, quoted."""
    places: Files = {}
    for flag, paths in input.items():
        file = "/history.csv" if flag == "history" else ""
        drawn = zip(roles(experiment, name, flag), paths, strict=False)
        places[flag] = [f"{role}={path}{file}" for role, path in drawn] or paths
    return flags.quoted(places)


def figure_hparams(experiment: Experiment, name: str) -> Told:
    """What the command of a figure, or of the observations, is told."""
    if name == "fig1":
        k = experiment.pretrain.k
        spans = encoders.phases(experiment, _role(experiment, name, "randommask"))
        # of a longer span the sequence would show no neighbours
        longest = min(spans[-1].max_span, len(SEQUENCE) - k - 1)
        return {"sequence": SEQUENCE, "k": k, "max_span": longest, "seed": 1}
    if name == "observations":
        baseline = _role(experiment, name, "baseline")
        return {"k": encoders.k_of(experiment, baseline)}
    return {"roles": experiment.roles.given()} if name == "ranks" else {}


def last_segment(experiment: Experiment, encoder: str) -> str:
    """The folder of an encoder's last segment."""
    end = encoders.segment_ends(experiment, encoder)[-1]
    return f"<results>/pretrain/{encoder}/step-{end}"


def report_hparams(experiment: Experiment, config: dict[str, Any]) -> Told:
    """What the command of the report is told: the config as it was given, too.

    But for `finetune.together`, which is in no result: with or without it the page
    stays as it is.
    """
    tuned = {k: v for k, v in config.get("finetune", {}).items() if k != "together"}
    shown = {key: value for key, value in config.items() if key != "finetune"}
    return {
        "config": shown | ({"finetune": tuned} if tuned else {}),
        "controls": encoders.controls(experiment),
        "roles": experiment.roles.given(),
    }


def crate_hparams(experiment: Experiment, config: dict[str, Any]) -> Told:
    """What the command that describes a finished run is told."""
    license_ = experiment.experiment.license
    return {"config": config, "license": license_.given() if license_ else None}


def views(experiment: Experiment) -> list[str]:
    """The points and maps that the report shows to be looked into."""
    drawn = {name: figure_files(experiment, name) for name in ("fig2", "fig4")}
    return [*drawn["fig2"]["embeddings"], *drawn["fig4"]["attention"]]


def _names(experiment: Experiment) -> list[str]:
    return [dataset.dataset for dataset in runs.benchmark(experiment)]


def _of_datasets(names: Iterable[str], file: str) -> list[str]:
    return [f"<results>/benchmark/{name}/{file}" for name in names]
