"""The demo's config, so small that all of it runs in a minute."""

from pathlib import Path

import yaml

from made import ROOT


def micro(folder: Path, results: Path | None = None) -> dict:
    """A config whose resources and logs lie in `folder`, its results there or not."""
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    config["pathvars"] = {
        "results": str(results or folder / "results"),
        **{name: str(folder / name) for name in ("resources", "logs")},
    }
    config["synthetic"] |= {
        "genome_bases": 200_000,
        "chromosomes": 2,
        "rows": {"train": 24, "dev": 12, "test": 12},
    }
    made = Path(config["pathvars"]["results"]) / "world"
    folders = {"synthetic": "genome", "gue": "GUE", "deepstarr": "DeepSTARR"}
    for source, name in folders.items():
        config["sources"][source] = {"path": str(made / name)}
    phases = zip((8, 12, 16, 20, 24), (4, 6, 8, 10, 12), strict=True)
    config["curricula"] = {
        "dnabert": [{"until": 24, "max_span": 4}],
        "randommask": [{"until": step, "max_span": span} for step, span in phases],
        "nonoverlapping": [{"until": 24, "max_span": 1}],
    }
    config["pretrain"] |= {
        "steps": 24,
        "batch": 8,
        "micro_batch": 8,
        "warmup_steps": 2,
        "segments": [8],
        "milestones": [0, 4],
        "log_every": 2,
        "validate_every": 8,
        "validation_windows": 8,
    }
    used = {
        row["encoder"] for table in config["tables"].values() for row in table["rows"]
    }
    config["encoders"] = {name: config["encoders"][name] for name in sorted(used)}
    for encoder in config["encoders"].values():
        encoder.pop("segments", None)
    config["encoders"]["randommask"]["from"]["step"] = 8
    del config["ablations"]
    config["benchmark"]["include"] = ["EMP-H3", "CPD-tata", "SSP", "EAP"]
    config["recipes"]["demo"] = {"all": {"epochs": 1, "batch_size": 8}}
    for table in config["tables"].values():
        table["datasets"] = "all"
    return config
