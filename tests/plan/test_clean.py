"""`make clean-demo` removes what the demo made, and asks before it does."""

import base64
import json

import pytest
from made import ROOT

from randommask.plan import clean

PROFILE = ROOT / "workflow" / "profiles" / "demo"


def record(path, rule, hparams):
    """What Snakemake notes of a file that it made."""
    name = base64.b64encode(str(path).encode()).decode()
    clean.RECORDS.mkdir(parents=True, exist_ok=True)
    command = f"python -m x --hparams '{hparams}' --output {path} >log"
    (clean.RECORDS / name).write_text(json.dumps({"rule": rule, "shellcmd": command}))


def entry(rule, hparams, *outputs):
    command = f"python -m x --hparams '{hparams}' --another {outputs[0]}"
    return {"rule": rule, "command": command, "output": [*map(str, outputs)]}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The demo's results beside encoders, ablations and shards of others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    results = tmp_path / "results" / "demo"
    for name in (
        "encoders/dnabert/model.safetensors",
        "encoders/growing/model.safetensors",
        "ablations/mine.md",
        "ablations/spans.md",
        "corpus/synthetic/manifest.json",
        "corpus/synthetic/chr1.npy",
        "corpus/fly/chr1.npy",
        "tables/table3.csv",
    ):
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    listed = []
    for rule, hparams, output, recorded in (
        ("encoder", "{}", "encoders/dnabert", "{}"),
        ("ablate", '{"rows": 1}', "ablations/spans.md", '{"rows": 2}'),
        ("tokenize", "{}", "corpus/synthetic/manifest.json", "{}"),
        ("table3", "{}", "tables/table3.csv", None),
    ):
        path = f"results/demo/{output}"
        listed.append(entry(rule, hparams, path))
        if recorded:
            record(path, rule, recorded)
    monkeypatch.setattr(clean, "entries", lambda *told: listed)
    return results


def left(results):
    return sorted(
        str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()
    )


OTHERS = [
    "ablations/mine.md",
    "ablations/spans.md",
    "corpus/fly/chr1.npy",
    "encoders/growing/model.safetensors",
    "tables/table3.csv",
]


def test_only_what_the_demo_made_goes(place, monkeypatch, capsys):
    monkeypatch.setenv("YES", "1")
    clean.main(["--profile", str(PROFILE), "all", "ablations"])
    assert left(place) == OTHERS
    said = capsys.readouterr().out
    assert "no record tells: results/demo/ablations/spans.md" in said
    assert "3 files and folders" in said and "deleted" in said
    assert not (place / "corpus" / "synthetic").exists()  # empty, so it goes too


@pytest.mark.parametrize("answer", ["", "n", "no", None])
def test_nothing_goes_without_a_yes(place, monkeypatch, capsys, answer):
    def asked(question):
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("builtins.input", asked)
    before = left(place)
    clean.main(["--profile", str(PROFILE), "all"])
    assert left(place) == before and len(before) == 8
    said = capsys.readouterr().out
    assert "results/demo/encoders/dnabert\n" in said and "kept" in said


def test_a_yes_is_enough(place, monkeypatch):
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    clean.main(["--profile", str(PROFILE), "all"])
    assert left(place) == OTHERS
