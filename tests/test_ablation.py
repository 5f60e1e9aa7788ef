"""What a group answers, from made runs; what it takes; what goes when it goes."""

import csv
import json
import statistics
import struct
import subprocess
from pathlib import Path

import pytest
import yaml
from made_results import EXPERIMENT, make_attention, make_run, metrics_path
from scipy import stats

from randommask import config as checker
from randommask.ablation import __main__ as command
from randommask.ablation import answer, clean, measures, plan
from randommask.errors import InputError

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SETS = ["EMP-H3", "EMP-H4", "SSP"]
LABELS = ("spans of 6", "spans of 14", "growing")
FORMS = ("csv", "md", "tex", "png", "pdf")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def load(name):
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())


# --- The answer -----------------------------------------------------------------------


def group(*scores, series=None, at=None):
    """Rows, and runs of one data set whose scores are `scores[row][seed]`."""
    rows, found = [], []
    for place, own in enumerate(scores):
        rows.append(
            {
                "label": f"row {place}",
                "tokenization": "overlapping",
                "series": series[place] if series else "",
                "at": at[place] if at else "",
            }
        )
        runs = {seed: Run(score) for seed, score in enumerate(own)}
        found.append({"SSP": runs})
    return rows, found


class Run:
    def __init__(self, score):
        self.score, self.flags = score, ()


def test_intervals_are_students():
    values = [61.0, 63.5, 60.2, 62.0]
    expected = stats.t.interval(
        0.95, len(values) - 1, statistics.fmean(values), stats.sem(values)
    )
    assert measures.interval(values) == pytest.approx(expected)


def test_one_seed_says_that_it_cannot_be_told():
    [text] = answer.sentences(*group([60.0], [62.5], [61.0]), "")
    assert text.startswith('"row 1" has the highest mean over 1 data set, 62.50 per')
    assert '1.50 above "row 2" and 2.50 above "row 0", the reference' in text
    assert text.endswith(f"; {answer.ONE_SEED}.")


def test_a_lead_beyond_the_spread_is_called_so():
    [text] = answer.sentences(*group([60.0, 60.1, 59.9], [70.0, 70.2, 69.9]), "")
    assert '10.03 above "row 0": beyond the spread of 3 seeds for every row.' in text


def test_rows_within_the_spread_are_named():
    scores = group([50.0, 50.1, 49.9], [60.0, 64.0, 59.0], [61.0, 60.0, 62.3])
    [text] = answer.sentences(*scores, "")
    assert text.startswith('"row 2" has the highest mean')
    assert text.endswith('of 3 seeds, so not to be told from it: "row 1".')


def test_equal_means_have_no_winner():
    [text] = answer.sentences(*group([60.0], [60.001]), "")
    assert text.startswith('No row is best: "row 1" and "row 0"')


def test_an_axis_says_what_it_brings_and_each_series_over_the_first():
    rows = group(
        [50.0, 50.2], [54.0, 54.1], [53.0, 53.2], [60.0, 60.1],
        series=["A", "A", "B", "B"], at=[1000, 20000, 1000, 20000],
    )  # fmt: skip
    texts = answer.sentences(*rows, "steps")
    assert texts[1].startswith("A, from 1,000 to 20,000 (steps): +3.95 points")
    assert texts[2].startswith("B, from 1,000 to 20,000 (steps): +6.95 points")
    assert texts[3].startswith("B over A at 1,000: +3.00 points, beyond")
    assert texts[4].startswith("B over A at 20,000: +6.00 points, beyond")


# --- The command ----------------------------------------------------------------------


def make_tree(folder, seeds=(1, 2, 3), labels=LABELS):
    """Results and logs of a group as its jobs leave them; the rows of its hparams."""
    results, logs, rows = folder / "results", folder / "logs", []
    for place, label in enumerate(labels):
        encoder = f"encoder-{place}"
        for name in SETS:
            for seed in seeds:
                run = make_run(
                    results / "finetune", encoder, "overlapping", name, seed,
                    score=0.5 + 0.1 * place + 0.001 * seed, device="cpu",
                )  # fmt: skip
                write_benchmark(logs, run.relative_to(results).parent, 36.0, 18.0)
        step = results / "pretrain" / encoder / "step-20"
        step.mkdir(parents=True)
        lines = ["step,span,validation_loss,bound"]
        for at in (10, 20):
            lines += [f"{at},{span},{span / at + place},{span / 9}" for span in (6, 14)]
        (step / "spans.csv").write_text("\n".join(lines) + "\n")
        (step / "speed.csv").write_text("step,seconds,gpus\n10,1.0,2\n20,1.0,2\n")
        write_benchmark(logs, f"pretrain/{encoder}/step-20", 7200.0, 3600.0)
        make_attention(results / f"figures/attention/{encoder}.csv", [0.2, 0.4])
        purity = results / f"figures/purity/{encoder}.csv"
        purity.parent.mkdir(parents=True, exist_ok=True)
        purity.write_text("step,silhouette,purity,chance\n20,0.25,0.75,0.06\n")
        jobs = {f"{encoder}/step-20": 0.5}
        pretraining = {"step": 10, "kept": f"{encoder}/step-20", "jobs": jobs}
        rows.append(
            {
                "label": label,
                "encoder": encoder,
                "tokenization": "overlapping",
                "pretraining": pretraining,
                "has_order": True,
            }
        )
    return rows


def write_benchmark(logs, place, seconds, computed):
    path = logs / "benchmarks" / f"{place}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t1.0\t{computed}\n")


def run(folder, rows, seeds=(1, 2, 3), **changes):
    hparams = {
        "experiment": EXPERIMENT,
        "name": "spans",
        "question": "Do long spans help?",
        "axis": "",
        "rows": rows,
        "datasets": SETS,
        "seeds": list(seeds),
    }
    flags = {
        "results": folder / "results",
        "logs": folder / "logs",
        "datasets": ROOT / "config" / "datasets.tsv",
        "hparams": json.dumps(hparams | changes),
        **{form: folder / f"out.{form}" for form in FORMS},
    }
    command.main([str(word) for k, v in flags.items() for word in (f"--{k}", v)])


def lines(folder):
    with open(folder / "out.csv", newline="") as file:
        return {
            (line["row"], line["measure"], line["of"]): line
            for line in csv.DictReader(file)
        }


def value(folder, *key):
    return float(lines(folder)[key]["value"])


def test_a_group_becomes_a_table_a_figure_and_an_answer(tmp_path):
    run(tmp_path, make_tree(tmp_path))
    assert value(tmp_path, "growing", "score", "EMP") == pytest.approx(70.2)
    mean = lines(tmp_path)["growing", "score", "mean"]
    low, high = stats.t.interval(0.95, 2, 70.2, stats.sem([70.1, 70.2, 70.3]))
    assert (float(mean["low"]), float(mean["high"])) == pytest.approx((low, high))
    # of the step that is asked for, not of the last
    assert value(tmp_path, "spans of 14", "loss", "14") == pytest.approx(2.4)
    assert value(tmp_path, "growing", "purity", "") == 0.75
    assert value(tmp_path, "growing", "cls_mass", "") == pytest.approx(0.3)
    # half of the job's steps, 2 hours on 2 GPUs
    assert value(tmp_path, "growing", "hours", "pretraining") == 1.0
    assert value(tmp_path, "growing", "gpu_hours", "pretraining") == 2.0
    assert value(tmp_path, "growing", "core_hours", "pretraining") == 0.5
    assert value(tmp_path, "growing", "hours", "fine-tuning") == pytest.approx(0.09)
    assert value(tmp_path, "growing", "gpu_hours", "fine-tuning") == 0.0
    text = (tmp_path / "out.md").read_text()
    assert text.startswith("# Ablation spans: Do long spans help?\n\n> Made: invented")
    assert '"growing" has the highest mean over 3 data sets, 70.20 per cent' in text
    assert "loss, spans of 14" in text and "pretraining, GPU-h" in text
    assert "fine-tuning, GPU-h" not in text  # nothing ran there
    width, height = struct.unpack(">II", (tmp_path / "out.png").read_bytes()[16:24])
    assert width == 2160 and 500 < height < 2000
    assert "Do long spans help?" in (tmp_path / "out.tex").read_text()


def test_twice_the_same_bytes(tmp_path):
    rows = make_tree(tmp_path, seeds=(1,))
    made = []
    for _ in range(2):
        run(tmp_path, rows, seeds=(1,))
        made.append(
            [(tmp_path / f"out.{f}").read_bytes() for f in ("csv", "png", "pdf")]
        )
    assert made[0] == made[1]
    assert "One seed, so there is no interval." in (tmp_path / "out.md").read_text()


def test_rows_along_an_axis_and_rows_that_are_not_pretrained(tmp_path):
    rows = make_tree(tmp_path)
    for place, row in enumerate(rows):
        row |= {"series": "A" if place < 2 else "B", "at": (10, 2000, 2000)[place]}
    rows[2] |= {"pretraining": None, "has_order": False}
    run(tmp_path, rows, axis="steps")
    text = (tmp_path / "out.md").read_text()
    assert "A, from 10 to 2,000 (steps): +10.00 points, beyond the spread" in text
    assert "B over A at 2,000: +10.00 points" in text
    assert ("growing", "purity", "") not in lines(tmp_path)


def test_a_missing_run_is_one_line(tmp_path):
    rows = make_tree(tmp_path)
    metrics_path(
        tmp_path / "results" / "finetune", "encoder-1", "overlapping", "SSP", 2
    ).unlink()
    with pytest.raises(
        InputError, match=r"encoder-1/overlapping/SSP.*seed.?2"
    ) as error:
        run(tmp_path, rows)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.csv").exists()


def test_two_rows_of_one_name_are_refused(tmp_path):
    rows = make_tree(tmp_path, labels=("a", "a"))
    with pytest.raises(InputError, match="row 2: a second a overlapping"):
        run(tmp_path, rows)


def test_constant_predictions_are_flagged(tmp_path):
    rows = make_tree(tmp_path)
    path = metrics_path(
        tmp_path / "results" / "finetune", "encoder-0", "overlapping", "SSP", 2
    )
    found = json.loads(path.read_text()) | {"flags": ["constant predictions"]}
    path.write_text(json.dumps(found))
    run(tmp_path, rows)
    text = (tmp_path / "out.md").read_text()
    assert "\u2020 spans of 6, SSP: constant predictions (seed 2)." in text


# --- What a group takes ---------------------------------------------------------------


def test_jobs_behind_an_encoder_go_through_its_branches():
    paper = load("config")
    jobs = plan.segments(paper, "phases-share-15", 100000)
    assert [job[:2] for job in jobs][-2:] == [
        ("phases-share-15", 10000),
        ("share-15", 6250),
    ]
    assert sum(end * share for _, end, share in plan.segments(paper, "dnabert", 30000)
               ) == 30000  # fmt: skip
    found = plan.pretraining(paper, "dnabert-10k")
    assert found["kept"] == "dnabert/step-30000" and found["step"] == 10000
    assert found["jobs"] == {"dnabert/step-30000": pytest.approx(1 / 3)}
    assert plan.pretraining(paper, "nt") is None


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("config", {"curriculum", "masking-rate", "replacement", "k", "tokenization",
                    "size", "steps"}),
        ("demo", {"curriculum", "masking-rate", "replacement", "k", "tokenization",
                  "size", "steps"}),
        ("slice", {"curriculum", "masking-rate"}),
    ],
)  # fmt: skip
def test_the_groups_are_there_and_name_what_they_need(name, groups):
    config = load(name)
    assert set(config["ablations"]) == groups
    for found in config["ablations"].values():
        assert found["question"].endswith("?")
        assert len(found["datasets"]) <= (3 if name == "demo" else 7)
        series = {"at" in row for row in found["rows"]}
        assert series == {"axis" in found}


def test_shares_beside_the_masking_rate_are_the_maskers():
    """The places on the axis, which the config states, against the exact shares.

    Rows with one target share a place, though their spans differ at the rows' ends.
    """
    from randommask import curriculum, settings

    for name in ("config", "demo", "slice"):
        config = load(name)
        for row in config["ablations"]["masking-rate"]["rows"]:
            end = settings.segment_ends(config, row["encoder"])[-1]
            keys = settings.settings(config, row["encoder"], end)
            exact = 100 * curriculum.masked_share(keys)
            near = 0.05 if keys["target_share"] is None else 0.15
            assert row["at"] == pytest.approx(exact, abs=near), (name, row)


def test_weights_beside_the_sizes_are_the_encoders():
    from randommask import encoder, settings

    for name in ("config", "demo"):
        config = load(name)
        for row in config["ablations"]["size"]["rows"]:
            keys = settings.merged(config, row["encoder"])
            sizes = config["architectures"][keys["architecture"]]
            made = encoder.EncoderConfig(
                **sizes, k=keys["k"], tokenization=keys["tokenization"]
            )
            weights = encoder.parameters(made) / 1e6
            assert row["at"] == pytest.approx(weights, rel=0.05)


# --- What a group has for itself ------------------------------------------------------


def test_a_group_owns_what_nothing_else_needs():
    paper = load("config")
    own = plan.own(paper, "replacement")
    assert own.encoders == own.measured == {"phases-90-10", "phases-100"}
    assert {run.split("/")[0] for run in own.runs} == own.encoders
    own = plan.own(paper, "curriculum")
    assert "spans-6" not in own.encoders  # other groups begin with it
    assert {"spans-10", "phases-1", "phases-reversed"} <= own.encoders
    assert "spans-6/overlapping/PD-tata/seed3" in own.runs  # no other group's set
    assert "spans-6/overlapping/SSP/seed3" not in own.runs
    assert not own.steps


def test_an_encoder_that_branches_from_it_keeps_its_parent():
    paper = load("config")
    before = plan.own(paper, "masking-rate").encoders
    assert {"share-15", "phases-share-15", "share-21"} == before
    paper["encoders"]["mine"] = {
        **paper["encoders"]["phases-share-15"],
        "from": {"encoder": "share-15", "step": 6250},
    }
    checker.check(paper, SCHEMA)
    assert "share-15" not in plan.own(paper, "masking-rate").encoders


def test_a_milestones_folder_is_its_rows_alone_or_stays():
    paper = load("config")
    own = plan.own(paper, "steps")
    assert "dnabert" not in own.encoders and "dnabert-10k" in own.encoders
    assert not own.steps  # a segment's ends, or steps that Figure 2 shows
    taken = {"encoder": "spans-6", "step": 3000}
    paper["encoders"]["spans-6-3k"] = {"milestone": taken}
    paper["ablations"]["early"] = {
        "datasets": ["SSP"],
        "rows": [
            {"label": "a", "encoder": "spans-6-3k", "tokenization": "overlapping"}
        ],
    }
    checker.check(paper, SCHEMA)
    own = plan.own(paper, "early")
    assert own.steps == {"spans-6/step-3000"} and own.encoders == {"spans-6-3k"}
    other = load("config")  # where the same step ends a job
    other["encoders"]["spans-6"]["segments"] = [3000]
    assert not plan.own(paper, "early", [other]).steps
    paper["encoders"]["again"] = {"milestone": taken}
    assert not plan.own(paper, "early").steps


@pytest.fixture
def made(tmp_path):
    """A demo's config whose results are empty files, and the path of the config."""
    config = load("demo")
    config["pathvars"] = {
        name: str(tmp_path / name) for name in ("results", "resources", "logs")
    }
    results, logs = tmp_path / "results", tmp_path / "logs"
    for name, entry in config["ablations"].items():
        for form in FORMS:
            touch(results / "ablations" / f"{name}.{form}")
        touch(logs / "ablations" / f"{name}.log")
        for row in entry["rows"]:
            encoder = row["encoder"]
            for path in (
                results / "encoders" / encoder / "model.safetensors",
                results / "figures" / "attention" / f"{encoder}.npz",
                results / "figures" / "purity" / f"{encoder}.csv",
                results / "pretrain" / encoder / "step-3000" / "history.csv",
                logs / "encoders" / f"{encoder}.log",
            ):
                touch(path)
            touch(
                logs / "benchmarks" / "pretrain" / encoder / "step-3000.tsv",
                "s\tmax_rss\tcpu_time\n3600.0\t1.0\t1.0\n",
            )
            touch(results / "pretrain" / encoder / "step-3000/state", "x" * 3000)
            for dataset in entry["datasets"]:
                run = f"finetune/{encoder}/{row['tokenization']}/{dataset}/seed1"
                touch(results / run / "metrics.json")
                touch(logs / "benchmarks" / f"{run}.tsv")
    touch(results / "tables" / "table3.csv")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def touch(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def everything(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def test_cleaning_takes_one_groups_files_and_no_others(made, capsys):
    folder = made.parent
    before = everything(folder)
    clean.main(["--config", str(made), "--name", "replacement"])
    said = capsys.readouterr().out.splitlines()
    assert everything(folder) == before  # it only lists
    assert said[-1].startswith("22 files and folders, 6.07 kB, 2.0 hours of pretr")
    assert said[-1].endswith(": to delete; nothing is deleted yet")
    due = folder / "results" / "pretrain" / "phases-100"
    assert any(line.split() == ["3", "kB", str(due)] for line in said)
    clean.main(["--config", str(made), "--name", "replacement", "--delete"])
    gone = before - everything(folder)
    names = {"phases-90-10", "phases-100", "replacement"}
    due = {
        path for path in before if names & {*path.relative_to(folder).parts, path.stem}
    }
    assert gone == due and len(gone) > 20
    assert not (folder / "results" / "pretrain" / "phases-100").exists()


def test_cleaning_a_group_of_shared_encoders_leaves_them(made):
    folder = made.parent
    before = everything(folder)
    clean.main(["--config", str(made), "--name", "tokenization", "--delete"])
    gone = {path.relative_to(folder).as_posix() for path in before - everything(folder)}
    # all its encoders and runs are Table 2's too
    assert gone == {
        *(f"results/ablations/tokenization.{form}" for form in FORMS),
        "logs/ablations/tokenization.log",
    }


@pytest.mark.parametrize(
    "asked",
    [
        "release/phases-share-15/model.safetensors",
        "models/phases-share-15/overlapping/SSP/model.safetensors",
        "figures/embeddings/phases-share-15.csv",
        "finetune/phases-share-15/overlapping/SSP/seed1/metrics.json",
        "finetune/phases-share-15/overlapping/TF-M-0/seed7/metrics.json",
    ],
)
def test_what_was_asked_for_by_name_stays_and_its_encoder_too(made, capsys, asked):
    results = made.parent / "results"
    touch(results / asked)
    clean.main(["--config", str(made), "--name", "masking-rate", "--delete"])
    said = capsys.readouterr().out
    assert (results / asked).exists()
    assert not (results / "ablations" / "masking-rate.csv").exists()
    for encoder in ("share-15", "phases-share-15"):  # which begins with the other
        assert f"encoder {encoder} stays: {results}/" in said
        assert (results / "encoders" / encoder / "model.safetensors").exists()
        assert (results / "pretrain" / encoder / "step-3000").exists()
        assert not (results / f"finetune/{encoder}/overlapping/TF-M-0/seed1").exists()


def test_what_another_config_with_the_same_results_needs_stays(made, capsys):
    folder = made.parent
    config = yaml.safe_load(made.read_text())
    group = config["ablations"].pop("replacement")
    config["ablations"] = {"mine": {**group, "rows": group["rows"][1:2]}}
    del config["encoders"]["phases-100"]
    other = folder / "mine.yaml"
    other.write_text(yaml.safe_dump(config))
    elsewhere = {**config, "pathvars": {**config["pathvars"], "results": "elsewhere"}}
    (folder / "elsewhere.yaml").write_text(yaml.safe_dump(elsewhere))
    (folder / "notes.yaml").write_text("- no config\n")
    before = everything(folder)
    clean.main(["--config", str(made), "--name", "replacement", "--delete"])
    said = capsys.readouterr().out
    assert f"{other}: has the same results; what it needs stays" in said
    assert "elsewhere" not in said and "notes" not in said
    names = {"phases-100", "replacement"}
    assert before - everything(folder) == {
        path for path in before if names & {*path.relative_to(folder).parts, path.stem}
    }
    other.write_text(made.read_text())  # a copy, its groups and all
    before = everything(folder)
    clean.main(["--config", str(made), "--name", "curriculum", "--delete"])
    assert everything(folder) == before
    assert "0 files and folders, 0 B" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("seeds:", "sseds:"), "same results.*'sseds'"),
        (lambda text: text + "\n: {", "mine.yaml: not YAML"),
    ],
)
def test_a_config_that_may_share_the_results_must_be_good(made, change, message):
    other = made.parent / "mine.yaml"
    other.write_text(change(made.read_text()))
    before = everything(made.parent)
    with pytest.raises(InputError, match=message) as error:
        clean.main(["--config", str(made), "--name", "replacement", "--delete"])
    assert "\n" not in str(error.value)
    assert everything(made.parent) == before


def test_a_milestones_folder_goes_with_its_row(made):
    config = yaml.safe_load(made.read_text())
    taken = {"encoder": "spans-8", "step": 600}
    config["encoders"]["early"] = {"milestone": taken}
    row = {"label": "a", "encoder": "early", "tokenization": "overlapping"}
    config["ablations"]["early"] = {"datasets": ["SSP"], "rows": [row]}
    made.write_text(yaml.safe_dump(config))
    steps = made.parent / "results" / "pretrain" / "spans-8"
    touch(steps / "step-600" / "model.safetensors")
    clean.main(["--config", str(made), "--name", "early", "--delete"])
    assert not (steps / "step-600").exists() and (steps / "step-3000").exists()


def test_cleaning_an_unknown_group_is_one_line(made):
    with pytest.raises(InputError, match=r"no ablation .curiculum.*curriculum"):
        clean.main(["--config", str(made), "--name", "curiculum", "--delete"])


def test_make_cleans_nothing_without_a_config_and_a_yes():
    def shown(*words):
        command = ["make", "-n", "--old-file", ".venv/.ready", "clean-ablation", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout

    assert "--delete" not in shown("NAME=k", "CONFIG=config/demo.yaml")
    assert "--delete" not in shown("NAME=k", "CONFIG=config/demo.yaml", "YES=0")
    assert "--delete" in shown("NAME=k", "CONFIG=config/demo.yaml", "YES=1")
    assert shown("NAME=k").startswith('test -n "k" && test -n "" ||')
