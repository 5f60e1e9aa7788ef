"""What each table and figure is made from, and what its command is told.

A file's place begins with `<results>`, as in the rules. Figures read one file for each
of the roles that they draw, as far as the config fills them. Snakemake imports this
module while it plans, so it imports nothing heavy.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from randommask.experiment import encoders, flags, runs

SPACES = ("baseline", "nonoverlapping")
MAPS = ("baseline", "randommask", "nonoverlapping")
CURVES = ("baseline", "randommask", "nonoverlapping", "mini")
"""The roles whose embeddings, attention and loss are drawn."""

SEQUENCE = "ATGACGTTCAGGCTAACGTACTGA"
"""What Figure 1 tokenizes and masks: any would do, repeats would be hard to read."""

TABLES = ("table1", "table2", "table3", "table4", "table5", "statistics", "datasets")
FIGURES = ("fig1", "fig2", "fig3", "fig4", "fig5", "datasets", "ranks")

Config = dict[str, Any]
Files = dict[str, str | list[str]]


def notice(config: Config) -> Config:
    """The name of the experiment and what stands on all that is made in it."""
    keys = ("name", "notice")
    return {"experiment": {key: config["experiment"][key] for key in keys}}


def of_runs(config: Config, table: Config, file: str = "metrics.json") -> list[str]:
    """One file of every run behind a table or an ablation."""
    return [
        f"<results>/finetune/{row['encoder']}/{row['tokenization']}/{dataset}/seed{seed}/{file}"
        for row in table["rows"]
        for dataset in runs.table_datasets(config, table)
        for seed in config["seeds"]
    ]


def table_files(config: Config, name: str) -> Files:
    """What a table is made from, by the flag of its command."""
    tables, listed = config["tables"], config["benchmark"]["datasets"]
    if name == "datasets":
        return {"summaries": _of_datasets(_names(config), "summary.json")}
    if name == "statistics":
        return {
            "table3": "<results>/tables/table3.csv",
            "runs": of_runs(config, tables["table3"]),
            "predictions": of_runs(config, tables["table3"], "predictions.parquet"),
            "benchmark": _of_datasets(
                runs.table_datasets(config, tables["table3"]), "test.parquet"
            ),
        }
    if name not in tables:
        return {"datasets": listed}
    return {
        "runs": of_runs(config, tables[name]),
        "datasets": listed,
        "published": f"config/published/{name}.csv",
    }


def table_hparams(config: Config, name: str) -> Config:
    """What the command of a table is told."""
    if name == "datasets":
        return {}
    if name == "table1":
        return {"datasets": _names(config)}
    if name in config["recipes"]:
        return _recipe(config, name)
    options: Config = {}
    if name == "table3":
        options["controls"] = controls(config)
    if name == "statistics":
        options["baseline"] = config["roles"]["baseline"]
    table = config["tables"]["table2" if name == "table2" else "table3"]
    return {
        **options,
        "rows": [{"published": None, **row} for row in table["rows"]],
        "datasets": runs.table_datasets(config, table),
        "seeds": config["seeds"],
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


def _recipe(config: Config, name: str) -> Config:
    shared = config["finetune"]
    keys = ("betas", "eps", "weight_decay", "warmup_steps", "clip")
    return {
        "recipe": name,
        "settings": {"optimizer": "AdamW", **{key: shared[key] for key in keys}},
        "datasets": {
            dataset.dataset: runs.recipe(config, name, dataset)
            for dataset in runs.benchmark(config)
        },
        "used": shared["recipe"] == name,
    }


def figure_files(config: Config, name: str) -> Files:
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
    files = {
        flag: [f"<results>/{pattern.format(encoder)}" for encoder in drawn]
        for flag, pattern in patterns.items()
        if (drawn := [config["roles"][role] for role in roles(config, name, flag)])
    }
    if histories := roles(config, name, "history"):
        files["history"] = [last_segment(config, config["roles"][x]) for x in histories]
    return files


def roles(config: Config, name: str, flag: str) -> list[str]:
    """The roles behind a flag's files, in their order; none where they have no role."""
    curves = {"fig2": SPACES, "fig5": CURVES, "observations": CURVES}
    drawn = {
        "embeddings": SPACES[:1] if name == "fig3" else SPACES,
        "purity": SPACES[:1] if name == "fig3" else SPACES,
        "attention": MAPS,
        "summary": MAPS,
        "history": curves.get(name, ()),
    }.get(flag, ())
    return [role for role in drawn if role in config["roles"]]


def figure_flags(config: Config, name: str, input: Any) -> str:
    """The flags of a figure's files, each `role=path`, quoted."""
    places: Files = {}
    for flag, paths in input.items():
        file = "/history.csv" if flag == "history" else ""
        drawn = zip(roles(config, name, flag), paths, strict=False)
        places[flag] = [f"{role}={path}{file}" for role, path in drawn] or paths
    return flags.quoted(places)


def figure_hparams(config: Config, name: str) -> Config:
    """What the command of a figure, or of the observations, is told."""
    options: Config = {}
    if name == "fig1":
        phases = encoders.phases(config, config["roles"]["randommask"])
        options = {
            "sequence": SEQUENCE,
            "k": config["pretrain"]["k"],
            "max_span": phases[-1]["max_span"],
            "seed": 1,
        }
    if name == "observations":
        options = {"k": encoders.merged(config, config["roles"]["baseline"])["k"]}
    if name == "ranks":
        options = {"roles": config["roles"]}
    return options


def last_segment(config: Config, encoder: str) -> str:
    """The folder of an encoder's last segment."""
    end = encoders.segment_ends(config, encoder)[-1]
    return f"<results>/pretrain/{encoder}/step-{end}"


def report_hparams(config: Config) -> Config:
    """What the command of the report is told."""
    return {"config": config, "controls": controls(config)}


def controls(config: Config) -> list[str]:
    """The encoders that are controls, the untrained first."""
    return [
        encoder
        for kind in (encoders.UNTRAINED, encoders.KMER_LINEAR)
        for encoder in config["encoders"]
        if encoders.control(config, encoder) == kind
    ]


def _names(config: Config) -> list[str]:
    return [dataset.dataset for dataset in runs.benchmark(config)]


def _of_datasets(names: Iterable[str], file: str) -> list[str]:
    return [f"<results>/benchmark/{name}/{file}" for name in names]
