"""What a group answers, from made runs; what it takes; what goes when it goes."""

import csv
import json
import random
import re
import shutil
import statistics
import struct

import pytest
from made import ROOT
from made.results import (
    EXPERIMENT,
    make_attention,
    make_predictions,
    make_run,
    metrics_path,
)
from matplotlib.colors import same_color, to_rgb
from scipy import stats

from randommask.errors import InputError
from randommask.experiment import ablations, file, pages
from randommask.experiment.check import check
from randommask.experiment.hparams import ComparedRow, Origin
from randommask.report.ablations import __main__ as command
from randommask.report.ablations import answer, hours, measures, picture

SETS = ["EMP-H3", "EMP-H4", "SSP"]
LABELS = ("spans of 6", "spans of 14", "growing")
FORMS = ("csv", "md", "tex", "png", "pdf")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def load(name):
    """A config's experiment, as if its local data were here."""
    config = file.whole(file.read(ROOT / "config" / f"{name}.yaml"))
    return check({**config, "benchmark": config["benchmark"] | {"include": "all"}})


# --- The answer -----------------------------------------------------------------------


def group(*scores, series=None, at=None):
    """Rows, and runs of one data set whose scores are `scores[row][seed]`."""
    rows, found = [], []
    for number, own in enumerate(scores):
        rows.append(
            ComparedRow.model_construct(
                label=f"row {number}",
                tokenization="overlapping",
                series=series[number] if series else "",
                at=at[number] if at else "",
            )
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


def test_rows_are_told_apart_by_tukeys_interval():
    found = [[61.0, 63.5, 60.2], [70.0, 71.0, 72.0], [62.0, 61.0, 66.0]]
    expected = stats.tukey_hsd(*found).confidence_interval(0.95)
    half = (expected.high - expected.low) / 2
    assert measures.margin(found) == pytest.approx(half[0, 1])
    assert measures.margin(found) == pytest.approx(half[1, 2])
    assert measures.margin([[61.0], [70.0]]) is measures.margin(found[:1]) is None


def test_one_seed_says_that_it_cannot_be_told():
    [text] = answer.sentences(*group([60.0], [62.5], [61.0]), "")
    assert text.startswith('"row 1" has the highest mean over 1 data set, 62.50 per')
    assert '1.50 above "row 2" and 2.50 above "row 0", the reference' in text
    assert text.endswith(f"; {answer.ONE_SEED}.")


def test_a_lead_beyond_the_spread_is_called_so():
    [text] = answer.sentences(*group([60.0, 60.1, 59.9], [70.0, 70.2, 69.9]), "")
    assert '10.03 ± 0.29 above "row 0", the reference: beyond the spread of 3' in text
    assert text.endswith("fine-tuning for every row below it.")


def test_rows_within_the_spread_are_named():
    scores = group([50.0, 50.1, 49.9], [60.0, 64.0, 59.0], [61.0, 60.0, 62.3])
    [text] = answer.sentences(*scores, "")
    assert text.startswith('"row 2" has the highest mean')
    assert text.endswith('seeds of fine-tuning, so not to be told from it: "row 1".')


def test_equal_means_have_no_winner():
    [text] = answer.sentences(*group([60.0], [60.001]), "")
    assert text.startswith('No row is best: "row 0" and "row 1" have')


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


def test_rows_that_print_alike_are_named_together():
    scores = group([50.0, 50.2], [65.0, 65.0], [64.0, 66.0], [66.001, 64.0])
    [text] = answer.sentences(*scores, "")
    assert text.startswith(
        'No row is best: "row 1", "row 2" and "row 3" have the same highest mean over'
        ' 1 data set, 65.00 per cent, 14.90 ± 5.59 above "row 0", the reference: bey'
    )
    [text] = answer.sentences(*group([60.0], [60.0], [50.0]), "")
    assert 'per cent, 10.00 above "row 2"; with one seed' in text


def test_a_single_row_has_an_answer():
    [text] = answer.sentences(*group([60.0, 62.0]), "")
    assert text == '"row 0" is the only row: mean over 1 data set, 61.00 per cent.'


def test_few_of_equal_rows_are_called_worse():
    """Without an adjustment it is half of the groups of nine rows and three seeds."""
    source, named = random.Random(1), 0
    for _ in range(30):
        scores = [[source.gauss(60, 1) for _ in range(3)] for _ in range(9)]
        [text] = answer.sentences(*group(*scores), "")
        named += any(f'"row {row}"' not in text for row in range(9))
        named += "for every row below" in text
    assert named < 6


def test_the_ends_of_the_axis_are_its_least_and_largest_numbers():
    scores = group([50.0], [60.0], [55.0], series=[""] * 3, at=[20, 1, 300])
    assert answer.sentences(*scores, "GPU-hours of an H200")[1:] == [
        "From 1 to 300 (GPU-hours of an H200): -5.00 points."
    ]
    # texts are in the order of the rows
    scores = group([50.0], [60.0], series=["A"] * 2, at=["slow", "fast"])
    assert answer.sentences(*scores, "speed")[1].startswith("A, from slow to fast (")
    # a single point has no ends
    scores = group([50.0], [60.0], series=["A", "B"], at=[1, 1])
    assert answer.sentences(*scores, "x")[1:] == ["B over A at 1: +10.00 points."]


def test_runs_of_constant_predictions_stand_beside_the_answer():
    rows, scores = group([60.0, 60.1], [50.0, 0.0], [51.0, 51.1])
    scores[1]["SSP"][1].flags = ("constant predictions",)
    scores[2]["SSP"][0].flags = ("constant predictions",)
    [text] = answer.sentences(rows, scores, "")
    assert text.endswith(' Constant predictions in 1 run of "row 1", 1 run of "row 2".')


# --- What is compared -----------------------------------------------------------------


def runs_of(**sets):
    """A row's runs of the seeds named for each data set."""
    return {name: {seed: Run(60.0) for seed in seeds} for name, seeds in sets.items()}


def seen(scores):
    return scores and {name: list(found) for name, found in scores.items()}


def test_complete_rows_are_compared_by_all_their_runs():
    whole = runs_of(a=(1, 2), b=(1, 2))
    assert measures.common([whole, whole], (1, 2)) == [whole, whole]


def test_rows_are_compared_by_the_most_runs_that_all_have():
    whole = runs_of(a=(1, 2, 3), b=(1, 2, 3), c=(1, 2, 3))
    rows = [whole, runs_of(a=(1, 2, 3), b=(1, 2, 3), c=(1,)), runs_of(a=(), b=(), c=())]
    first, second, third = map(seen, measures.common(rows, (1, 2, 3)))
    assert first == second == {"a": [1, 2, 3], "b": [1, 2, 3]} and third is None
    rows[1] = runs_of(a=(1, 2), b=(1, 2), c=(1, 2))
    assert seen(measures.common(rows, (1, 2, 3))[0]) == {n: [1, 2] for n in "abc"}


def test_nothing_to_compare_is_one_line():
    with pytest.raises(InputError, match="no data set and seed with runs"):
        measures.common([runs_of(a=()), runs_of(a=())], (1,))
    with pytest.raises(InputError, match="no data set and seed with runs"):
        measures.common([runs_of(a=(1,), b=()), runs_of(a=(), b=(1,))], (1,))


# --- The command ----------------------------------------------------------------------


def make_tree(folder, seeds=(1, 2, 3), labels=LABELS):
    """Results and logs of a group as its jobs leave them; the rows of its hparams."""
    results, logs, rows = folder / "results", folder / "logs", []
    for number, label in enumerate(labels):
        encoder = f"encoder-{number}"
        for name in SETS:
            for seed in seeds:
                run = make_run(
                    results / "finetune", encoder, "overlapping", name, seed,
                    score=0.5 + 0.1 * number + 0.001 * seed,
                    device="cpu", seconds=36.0,
                )  # fmt: skip
                write_benchmark(logs, run.relative_to(results).parent, 10.0, 5.0)
        step = results / "pretrain" / encoder / "step-20"
        step.mkdir(parents=True)
        lines = ["step,span,validation_loss,bound"]
        for at in (10, 20):
            lines += [
                f"{at},{span},{span / at + number},{span / 9}" for span in (6, 14)
            ]
        (step / "spans.csv").write_text("\n".join(lines) + "\n")
        (step / "speed.csv").write_text("step,seconds,gpus\n10,3600,2\n20,3600,2\n")
        (step / "history.csv").write_text(
            "step,masked_share\n4,0.1\n8,0.2\n16,0.3\n20,0.9\n"
        )
        # of the last try: half of the time
        write_benchmark(logs, f"pretrain/{encoder}/step-20", 3600.0, 1800.0)
        make_attention(results / f"figures/attention/{encoder}.csv", [0.2, 0.4])
        purity = results / f"figures/purity/{encoder}.csv"
        purity.parent.mkdir(parents=True, exist_ok=True)
        purity.write_text("step,silhouette,purity,chance\n20,0.25,0.75,0.06\n")
        jobs = {f"{encoder}/step-20": 0.5}
        pretraining = {
            "tokens": "6-mers, overlapping",
            "step": 10,
            "kept": f"{encoder}/step-20",
            "jobs": jobs,
        }
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


def write_benchmark(logs, job, seconds, computed):
    path = logs / "benchmarks" / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t1.0\t{computed}\n")


def run(folder, rows, seeds=(1, 2, 3), partial=False, **changes):
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
    words = [str(word) for key, own in flags.items() for word in (f"--{key}", own)]
    command.main([*words, "--partial"] if partial else words)


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
    # of the step that is named, not of the last
    assert value(tmp_path, "spans of 14", "loss", "14") == pytest.approx(2.4)
    assert value(tmp_path, "growing", "purity", "") == 0.75
    assert value(tmp_path, "growing", "cls_mass", "") == pytest.approx(0.3)
    base = lines(tmp_path)["spans of 6", "difference", "mean"]
    assert (float(base["value"]), base["low"], base["high"]) == (0, "", "")
    gain = lines(tmp_path)["growing", "difference", "EMP-H3"]
    gain, low, high = (float(gain[key]) for key in ("value", "low", "high"))
    assert gain == pytest.approx(20)
    # the same about each difference: rows have one spread
    assert high - gain == pytest.approx(gain - low)
    assert 0.2 < high - gain < 0.3
    # (4 x 10 % + 4 x 20 % + 2 x 30 %) / 10
    assert value(tmp_path, "growing", "masked", "") == pytest.approx(18)
    # half of the job's steps, 2 hours on 2 GPUs, half a core
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
    assert "masked, %" in text and "how much is masked" not in text
    width, height = struct.unpack(">II", (tmp_path / "out.png").read_bytes()[16:24])
    assert width == 2160 and 500 < height < 2000
    assert "Do long spans help?" in (tmp_path / "out.tex").read_text()


def test_a_run_says_itself_how_many_cores_it_had(tmp_path):
    """Snakemake's benchmark of a command that was forked saw none."""
    run, benchmark = tmp_path / "metrics.json", tmp_path / "seed1.tsv"
    benchmark.write_text("s\tcpu_time\n10\t5\n")
    run.write_text('{"device": "cpu", "seconds": 7200}')
    assert hours._finetuning(run, benchmark) == (2.0, 1.0, 0.0)
    run.write_text('{"device": "cpu", "seconds": 7200, "cores": 0.75}')
    assert hours._finetuning(run, benchmark) == (2.0, 1.5, 0.0)


def test_twice_the_same_bytes(tmp_path):
    rows = make_tree(tmp_path, seeds=(1,))
    made = []
    for _ in range(2):
        run(tmp_path, rows, seeds=(1,))
        made.append(
            [(tmp_path / f"out.{f}").read_bytes() for f in ("csv", "png", "pdf")]
        )
    assert made[0] == made[1]
    text = (tmp_path / "out.md").read_text()
    assert "One seed, so there is no interval over seeds." in text
    # nothing says which differences chance makes
    assert "**" not in text and "<u>" not in text
    assert "so no number is marked as the best" in text


def gained(folder, seeds):
    """A group of three rows with predictions; the last has random weights."""
    rows = make_tree(folder, seeds, ("good", "same", "random"))
    rows[2] |= {"pretraining": None, "has_order": False}
    encoders = [row["encoder"] for row in rows]
    rates = dict(zip(encoders, (0.9, 0.7, 0.7), strict=True))
    results = folder / "results"
    for name in SETS:
        old = {
            path: json.loads(path.read_text())
            for path in results.glob(f"finetune/*/*/{name}/*/metrics.json")
        }
        places = (results / "finetune", results / "benchmark")
        make_predictions(*places, rows, name, seeds, rates)
        for path, before in old.items():
            path.write_text(json.dumps(before | json.loads(path.read_text())))
    run(folder, rows, seeds=seeds, untrained=encoders[2:])
    return lines(folder), (folder / "out.md").read_text()


def test_gains_over_random_weights_stand_beside_the_scores(tmp_path):
    found, text = gained(tmp_path, (1, 2, 3))
    for of in (*SETS, "EMP", "mean"):
        gain = found["good", "gain", of]
        value, low, high = (float(gain[key]) for key in ("value", "low", "high"))
        scores = [float(found[row, "score", of]["value"]) for row in ("good", "random")]
        assert value == pytest.approx(scores[0] - scores[1], abs=1e-5)
        assert 0 < low < value < high and gain["seeds"] == "3"
        is_column = of not in ("EMP-H3", "EMP-H4")  # they are one task
        assert not is_column or f"**{value:+.1f}** ± {(high - low) / 2:.1f}" in text
        assert ("random", "gain", of) not in found
    same = found["same", "gain", "mean"]
    assert float(same["low"]) < 0 < float(same["high"])
    assert 'Gain: the score minus that of "random"' in text
    assert "Fine-tuning |" not in text  # all rows are tokenized alike
    # Tukey's margin is what a lead must reach to be called best
    ends = [float(found["same", "difference", "mean"][key]) for key in ("low", "high")]
    [smallest] = [x for x in text.splitlines() if x.startswith("| smallest difference")]
    assert smallest.split("|")[-2].strip() == f"{(ends[1] - ends[0]) / 2:.2f}"


def test_with_one_seed_gains_are_of_the_test_rows(tmp_path):
    found, text = gained(tmp_path, (1,))
    gain = found["good", "gain", "mean"]
    assert 0 < float(gain["low"]) < float(gain["high"]) and gain["seeds"] == "1"
    assert "over test rows alone, as there is one seed" in text
    assert "| smallest difference |" in text


def test_a_group_with_random_weights_asks_for_predictions():
    experiment = load("demo")
    page = ablations.page(experiment, "pooling")
    assert page["untrained"] == ["untrained-cls", "untrained"]
    files = pages.predictions(experiment, experiment.ablations["pooling"])
    assert len(files["predictions"]) == 6 * 3 and len(files["benchmark"]) == 3
    assert ablations.page(experiment, "k")["untrained"] == []
    assert pages.predictions(experiment, experiment.ablations["k"]) == {}


def test_rows_along_an_axis_and_rows_that_are_not_pretrained(tmp_path):
    rows = make_tree(tmp_path)
    for number, row in enumerate(rows):
        row |= {"series": "A" if number < 2 else "B", "at": (10, 2000, 2000)[number]}
    rows[2] |= {"pretraining": None, "has_order": False}
    run(tmp_path, rows, axis="steps")
    text = (tmp_path / "out.md").read_text()
    assert "A, from 10 to 2,000 (steps): +10.00 points, beyond the spread" in text
    assert "B over A at 2,000: +10.00 points" in text
    assert ("growing", "purity", "") not in lines(tmp_path)


def test_a_row_on_no_line_is_a_line_of_its_own(tmp_path):
    rows = make_tree(tmp_path, seeds=(1,))
    rows[0] |= {"series": "A", "at": 1}
    rows[1] |= {"series": "A", "at": 2}
    rows[2] |= {"at": 1}
    run(tmp_path, rows, seeds=(1,), axis="steps")
    assert "growing over A at 1: +20.00 points." in (tmp_path / "out.md").read_text()


def test_a_difference_in_what_is_masked_is_told(tmp_path):
    rows = make_tree(tmp_path, seeds=(1,))
    path = tmp_path / "results" / "pretrain" / "encoder-1" / "step-20" / "history.csv"
    path.write_text("step,masked_share\n20,0.2117\n")
    run(tmp_path, rows, seeds=(1,))
    text = (tmp_path / "out.md").read_text()
    assert "Rows also differ in how much is masked: 18.0 to 21.2 per cent." in text


def test_missing_runs_are_one_line(tmp_path):
    rows = make_tree(tmp_path)
    for seed in (2, 3):
        drop(tmp_path, "encoder-1", "SSP", seed)
    with pytest.raises(
        InputError, match=r"runs missing.*: 2 .*encoder-1/overlapping/SSP/seed2"
    ) as error:
        run(tmp_path, rows)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.csv").exists()


def drop(folder, encoder, dataset, seed):
    finetuned = folder / "results" / "finetune"
    metrics_path(finetuned, encoder, "overlapping", dataset, seed).unlink()


def test_a_partial_group_compares_what_there_is(tmp_path):
    rows = make_tree(tmp_path)
    results = tmp_path / "results"
    for folder in ("pretrain", "finetune"):
        shutil.rmtree(results / folder / "encoder-0")
    for measure in ("attention", "purity"):
        (results / "figures" / measure / "encoder-0.csv").unlink()
    drop(tmp_path, "encoder-1", "SSP", 2)
    run(tmp_path, rows, partial=True)
    text = (tmp_path / "out.md").read_text()
    assert '"growing" has the highest mean over 2 data sets' in text
    assert re.search(r'10\.00 ± [\d.]+ above "spans of 14", the reference', text)
    assert (
        'Left out, with less than half of the runs: "spans of 6" (0 of 9); the'
        ' reference is "spans of 14".' in text
    )
    assert "Not compared, as not all rows have runs: SSP." in text
    assert re.search(r"^\| spans of 6 \| +\| +\|$", text, re.M)
    assert "Left out" in (tmp_path / "out.tex").read_text()
    found = lines(tmp_path)
    assert ("growing", "score", "SSP") not in found
    assert found["spans of 6", "score", "mean"]["value"] == ""
    assert found["spans of 6", "hours", "pretraining"]["value"] == ""
    assert value(tmp_path, "growing", "hours", "fine-tuning") == pytest.approx(0.06)


def test_two_rows_of_one_name_are_refused(tmp_path):
    rows = make_tree(tmp_path, labels=("a", "a"))
    with pytest.raises(InputError, match="row 2: a second 'a' with 'overlapping'"):
        run(tmp_path, rows)


def test_constant_predictions_are_flagged(tmp_path):
    rows = make_tree(tmp_path)
    rows[1] |= {"label": "spans of 6", "tokenization": "non-overlapping"}
    finetuned = tmp_path / "results" / "finetune"
    flags = ["constant predictions"]
    for name in SETS:
        for seed in (1, 2, 3):
            cell = ("encoder-1", "non-overlapping", name, seed)
            make_run(finetuned, *cell, flags=flags if name != "SSP" else [])
    run(tmp_path, rows)
    text = (tmp_path / "out.md").read_text()
    odd = "constant predictions (seed 1, 2, 3)"
    assert f"\u2020 spans of 6 (non-overlapping), EMP-H3: {odd}." in text
    assert text.count(odd) == 2  # tasks and mean have a mark alone
    [line] = re.findall(r"^\| spans of 6 \| non-overlapping \|.*\u2020.*$", text, re.M)
    emp, ssp, mean = line.split("|")[3:6]
    assert "\u2020" in emp and "\u2020" not in ssp and "\u2020" in mean
    with open(tmp_path / "out.csv", newline="") as file:
        notes = [r["note"] for r in csv.DictReader(file) if r["of"] == "mean"]
    assert notes[2:4] == ["constant predictions in 6 of 9 runs"] * 2
    assert 'Constant predictions in 6 runs of "spans of 6" (non-overlapping).' in text


# --- Several pretrainings of an encoder -----------------------------------------------


def repeated(folder, number=3, seeds=(1, 2), labels=("own", "rival")):
    """A group whose rows were pretrained with several seeds: the second scores more."""
    rows = make_tree(folder, seeds, labels)
    results, logs = folder / "results", folder / "logs"
    for which, row in enumerate(rows):
        row |= {"seed": 1, "repeats": []}
        for seed in range(1, number + 1):
            encoder = row["encoder"] if seed == 1 else f"{row['encoder']}-seed{seed}"
            for name in SETS:
                for fine in seeds:
                    made = make_run(
                        results / "finetune", encoder, "overlapping", name, fine,
                        score=0.5 + 0.1 * which + 0.02 * seed + 0.001 * fine,
                        device="cpu", seconds=36.0,
                    )  # fmt: skip
                    write_benchmark(logs, made.relative_to(results).parent, 10.0, 5.0)
            if seed == 1:
                continue
            for place in ("results/pretrain", "logs/benchmarks/pretrain"):
                source = folder / place / row["encoder"]
                shutil.copytree(source, source.with_name(encoder))
            origin = json.loads(
                json.dumps(row["pretraining"]).replace(row["encoder"], encoder)
            )
            again = {"seed": seed, "encoder": encoder, "pretraining": origin}
            row["repeats"].append(again)
    return rows


def test_scores_are_means_over_pretrainings_and_intervals_have_both_levels(tmp_path):
    run(tmp_path, repeated(tmp_path), seeds=(1, 2))
    mean = lines(tmp_path)["rival", "score", "mean"]
    found = [62.15, 64.15, 66.15]  # of each pretraining, over the fine-tunings
    low, high = stats.t.interval(0.95, 2, 64.15, stats.sem(found))
    ends = [float(mean[key]) for key in ("value", "low", "high")]
    assert ends == pytest.approx([64.15, low, high], abs=1e-4)
    assert mean["seeds"] == "3"
    gap = lines(tmp_path)["rival", "difference", "EMP"]
    expected = stats.tukey_hsd(found, [x - 10 for x in found]).confidence_interval(0.95)
    half = (float(gap["high"]) - float(gap["low"])) / 2
    assert half == pytest.approx((expected.high - expected.low)[0, 1] / 2, rel=1e-4)
    text = (tmp_path / "out.md").read_text()
    assert (
        f'10.00 ± {half:.2f} above "own", the reference: beyond the spread of 3 '
        in (text)
    )
    assert "3 seeds of pretraining and 2 of fine-tuning" in text
    assert (
        "over 3 pretrainings of each encoder, a score the mean over its 2 fine" in text
    )
    # all six runs a data set, and all three pretrainings
    assert value(tmp_path, "own", "hours", "fine-tuning") == pytest.approx(0.18)
    assert value(tmp_path, "own", "hours", "pretraining") == 3.0
    assert value(tmp_path, "own", "masked", "") == pytest.approx(18)


def test_losses_are_means_over_pretrainings(tmp_path):
    rows = repeated(tmp_path)
    kept = tmp_path / "results/pretrain/encoder-1-seed3/step-20/spans.csv"
    kept.write_text("step,span,validation_loss,bound\n10,6,7.6,1\n10,14,8.4,1\n")
    run(tmp_path, rows, seeds=(1, 2))
    assert value(tmp_path, "rival", "loss", "6") == pytest.approx((1.6 * 2 + 7.6) / 3)


def test_rows_that_were_not_pretrained_themselves_are_repeated_too(tmp_path):
    """Probes: the group compares scores alone."""
    rows = repeated(tmp_path)
    for row in rows:
        row |= {"pretraining": None, "has_order": False}
        for again in row["repeats"]:
            again["pretraining"] = None
    run(tmp_path, rows, seeds=(1, 2))
    assert lines(tmp_path)["rival", "score", "mean"]["seeds"] == "3"
    assert not {"loss", "reached", "purity"} & {key[1] for key in lines(tmp_path)}


def test_a_missing_run_of_a_repeat_is_told(tmp_path):
    rows = repeated(tmp_path)
    drop(tmp_path, "encoder-1-seed2", "SSP", 1)
    with pytest.raises(InputError, match=r"encoder-1-seed2/overlapping/SSP/seed1"):
        run(tmp_path, rows, seeds=(1, 2))
    run(tmp_path, rows, seeds=(1, 2), partial=True)
    assert (
        "Not compared, as not all rows have runs: " in (tmp_path / "out.md").read_text()
    )


def test_equal_encoders_are_not_told_apart_by_what_their_pretrainings_happened_to_be():
    """Three pretrainings with three fine-tunings each are no nine independent runs."""
    source, called = random.Random(2), {"both": 0, "nine": 0}
    for _ in range(200):
        own = []
        for _ in range(2):
            means = [source.gauss(60, 1) for _ in range(3)]
            own.append([[source.gauss(m, 0.3) for _ in range(3)] for m in means])
        runs = [
            {
                "SSP": {
                    measures.Trial(p, s): Run(own[row][p][s])
                    for p in range(3)
                    for s in range(3)
                }
            }
            for row in range(2)
        ]
        found = {"both": [measures.by_seed(one, ["SSP"]) for one in runs]}
        found["nine"] = [[x for part in one for x in part] for one in own]
        for kind, values in found.items():
            gap = statistics.fmean(values[0]) - statistics.fmean(values[1])
            called[kind] += abs(gap) > measures.margin(values)
    assert called["both"] <= 20 < 50 < called["nine"]


def test_steps_to_the_loss_that_the_reference_ends_with(tmp_path):
    rows = make_tree(tmp_path, seeds=(1,))
    folder = tmp_path / "results" / "pretrain"
    losses = {0: (5, 4, 3, 2), 1: (5, 2, 1, 1), 2: (5, 4, 3, 2.5)}
    for number, own in losses.items():
        made = [f"{5 * (i + 1)},{s},{x},1" for i, x in enumerate(own) for s in (6, 14)]
        path = folder / f"encoder-{number}" / "step-20" / "spans.csv"
        path.write_text("\n".join(["step,span,validation_loss,bound", *made]) + "\n")
        rows[number]["pretraining"] |= {"step": 20}
    run(tmp_path, rows, seeds=(1,))
    text = (tmp_path / "out.md").read_text()
    found = [lines(tmp_path)[label, "reached", ""]["value"] for label in LABELS]
    assert found == ["20.0", "10.0", ""] and "steps to the first's loss" in text
    assert "had the loss" not in text
    rows[1]["pretraining"]["optimizer"] = rows[2]["pretraining"]["optimizer"] = "muon"
    run(tmp_path, rows, seeds=(1,))
    text = (tmp_path / "out.md").read_text()
    said = 'had the loss that "spans of 6" ends with'
    assert f'"spans of 14" {said} after 10 of 20 steps.' in text
    assert '"growing" never had the loss that "spans of 6" ends with.' in text


# --- Hours ----------------------------------------------------------------------------


def spent(folder, jobs, own=None):
    row = ComparedRow.model_construct(
        label="a", encoder="a", pretraining=Origin.model_construct(jobs=jobs)
    )
    found = hours.hours_records(folder / "results", folder / "logs", row, own)
    return [record["value"] for record in found]


def test_hours_of_a_pretraining_add_up_over_its_tries(tmp_path):
    step = tmp_path / "results" / "pretrain" / "a" / "step-20"
    step.mkdir(parents=True)
    (step / "speed.csv").write_text("step,seconds,gpus\n5,7200,1\n9,3600,4\n")
    write_benchmark(tmp_path / "logs", "pretrain/a/step-20", 100.0, 200.0)
    assert spent(tmp_path, {"a/step-20": 1.0}) == [3.0, 6.0, 12.0]
    # the speeds of an earlier segment are not there
    assert spent(tmp_path, {"a/step-20": 1.0, "a/step-10": 1.0}) == [None] * 3
    (step / "speed.csv").write_text("step,seconds\n5,10800\n")  # as it once was
    assert spent(tmp_path, {"a/step-20": 1.0}) == [None] * 3
    (step / "speed.csv").write_text("step,seconds,gpus\n5,7200,1\n9,3600,4\n")
    write_benchmark(tmp_path / "logs", "pretrain/a/step-20", 0.1, "NA")
    assert spent(tmp_path, {"a/step-20": 1.0}) == [3.0, None, 12.0]
    assert spent(tmp_path, {}) == []


def test_a_run_counts_as_one_on_a_gpu_of_its_own(tmp_path):
    rows = make_tree(tmp_path, seeds=(1,))
    for path in (tmp_path / "results" / "finetune").rglob("metrics.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "cuda"}))
    run(tmp_path, rows, seeds=(1,))
    assert value(tmp_path, "growing", "gpu_hours", "fine-tuning") == pytest.approx(0.03)
    assert "shared one (gpu_share)" in (tmp_path / "out.md").read_text()


# --- The figure -----------------------------------------------------------------------


def drawn(rows, axis="", tokens=("6-mers, overlapping",), note=""):
    """The panels of a figure: row i scores 50 + i and 40 + 2i on two data sets."""
    records = []
    rows = [
        ComparedRow.model_construct(
            encoder=f"e{number}",
            label=f"row {number}",
            pretraining=Origin.model_construct(tokens=tokens[number % len(tokens)]),
            **{"series": "", "at": "", **row},
        )
        for number, row in enumerate(rows)
    ]
    for number, row in enumerate(rows):
        for of, score in (("a", 50 + number), ("b", 40 + 2 * number)):
            base = 50 if of == "a" else 40
            records.append(measures.record(row, "difference", of, [score - base], note))
        records.append(measures.record(row, "score", "mean", [45 + 1.5 * number]))
        records.append(measures.record(row, "difference", "mean", [1.5 * number], note))
        for span in (6, 14):
            records.append(measures.record(row, "loss", span, [span / 9 + number]))
    return picture.draw(rows, records, ["a", "b"], ["Said."], axis, "").axes


def marks(axes):
    """Places of single marks by their size: (x, y, face)."""
    found = {}
    for line in axes.lines:
        if len(line.get_xdata()) == 1 and line.get_marker() != "None":
            at = (line.get_xdata()[0], line.get_ydata()[0], line.get_markerfacecolor())
            found.setdefault(line.get_markersize(), []).append(at)
    return found


def test_marks_stand_where_their_differences_are():
    scores, losses = drawn([{} for _ in range(3)])
    small, big = (own for _, own in sorted(marks(scores).items()))
    assert [x for x, _, _ in big] == [0, 1.5, 3]
    assert sorted(x for x, _, _ in small) == [0, 0, 1, 2, 2, 4]
    assert not {face for *_, face in small + big} & {"white", "none"}
    assert len(losses.lines) == 3


@pytest.mark.parametrize("at", [(13.4, 14.2, 15.7), (1, 10, 100), (3, 3, 3)])
def test_lines_lie_inside_their_panel(at):
    rows = [{"at": x, "series": "AB"[x > 2]} for x in at]
    scores = drawn(rows, axis="x")[0]
    shown = [x for own in marks(scores).values() for x, _, _ in own]
    assert set(shown) == set(at)
    ends = scores.transAxes.inverted().transform(
        scores.transData.transform([(x, 0) for x in at])
    )
    assert min(ends[:, 0]) > 0.02 and max(ends[:, 0]) < 0.98
    assert len(set(at)) == 1 or max(ends[:, 0]) - min(ends[:, 0]) > 0.8


def test_marks_of_constant_predictions_are_hollow():
    scores, _ = drawn([{}, {}], note="constant predictions in 1 of 6 runs")
    small, big = (own for _, own in sorted(marks(scores).items()))
    assert {face for *_, face in small} == {"none"}
    assert {face for *_, face in big} == {"white"}


def test_a_colour_is_a_series_in_both_panels():
    rows = [{"series": name, "at": at} for name in "AB" for at in (1, 5)]
    scores, losses = drawn(rows, axis="steps")
    lines = [line for line in scores.lines if len(line.get_xdata()) == 2]
    first, second = (line.get_color() for line in lines if line.get_xdata()[1] == 5)
    assert first != second
    light, dark, other_light, other = (line.get_color() for line in losses.lines)
    assert same_color(dark, first) and same_color(other, second)
    assert sum(to_rgb(light)) > sum(to_rgb(dark))
    assert sum(to_rgb(other_light)) > sum(to_rgb(other))


def test_losses_that_do_not_compare_have_panels_of_their_own():
    kinds = ("3-mers, overlapping", "6-mers, overlapping", "6-mers, non-overlapping")
    panels = drawn([{} for _ in range(6)], tokens=kinds)
    assert [len(axes.lines) for axes in panels[1:]] == [2, 2, 2]
    titles = [axes.texts[1].get_text() for axes in panels[1:]]
    assert titles == list(kinds)


def test_any_number_of_rows_or_series_is_drawn():
    assert len(drawn([{} for _ in range(14)])[1].lines) == 14
    rows = [{"series": f"series {n}", "at": n % 2} for n in range(22)]
    drawn(rows, axis="x")


# --- What a group takes ---------------------------------------------------------------


def test_jobs_behind_an_encoder_go_through_its_branches():
    paper = load("config")
    jobs = ablations.segments(paper, "phases-share-15", 100000)
    assert [job[:2] for job in jobs][-2:] == [
        ("phases-share-15", 10000),
        ("share-15", 6250),
    ]
    jobs = ablations.segments(paper, "dnabert", 30000)
    assert sum(end * share for _, end, share in jobs) == 30000
    found = ablations.pretraining(paper, "dnabert-10k")
    assert found["kept"] == "dnabert/step-30000" and found["step"] == 10000
    assert found["jobs"] == {"dnabert/step-30000": pytest.approx(1 / 3)}
    assert found["tokens"] == "6-mers, overlapping"
    assert ablations.pretraining(paper, "nt") is None


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("config", {"curriculum", "masking-rate", "replacement", "k", "tokenization",
                    "size", "steps", "pooling", "rivals", "optimizer", "architecture"}),
        ("demo", {"curriculum", "masking-rate", "replacement", "k", "tokenization",
                  "size", "steps", "pooling", "rivals", "optimizer", "architecture"}),
        ("slice", {"curriculum", "masking-rate", "pooling", "labels", "labels-cls",
                   "rivals", "optimizer", "architecture"}),
    ],
)  # fmt: skip
def test_the_groups_are_there_and_name_what_they_need(name, groups):
    experiment = load(name)
    assert set(experiment.ablations) == groups
    for found in experiment.ablations.values():
        assert found.question.endswith("?")
        assert len(found.datasets) <= (3 if name == "demo" else 7)
        has_axis = {row.at is not None for row in found.rows}
        assert has_axis == {found.axis is not None}


def test_shares_beside_the_masking_rate_are_the_maskers():
    """The positions on the axis, which the config states, against the exact shares.

    Rows with one target share one, though their spans differ at the rows' ends.
    """
    from randommask import masking
    from randommask.experiment import encoders

    for name in ("config", "demo", "slice"):
        experiment = load(name)
        for row in experiment.ablations["masking-rate"].rows:
            end = encoders.segment_ends(experiment, row.encoder)[-1]
            settings = encoders.settings(experiment, row.encoder, end)
            exact = 100 * masking.masked_share(settings)
            near = 0.05 if settings.target_share is None else 0.15
            assert row.at == pytest.approx(exact, abs=near), (name, row)


def test_rivals_mask_an_equal_share_in_equal_steps():
    """But the one that is there because it masks more."""
    from randommask import masking
    from randommask.experiment import encoders

    for name in ("config", "demo", "slice"):
        experiment = load(name)
        for group in ("rivals", "optimizer", "architecture"):
            shares, steps = {}, set()
            for row in experiment.ablations[group].rows:
                end = encoders.segment_ends(experiment, row.encoder)[-1]
                settings = encoders.settings(experiment, row.encoder, end)
                shares[row.encoder] = 100 * masking.masked_share(settings)
                steps.add(end)
            assert len(steps) == 1
            if "rate-30" in shares:
                assert shares.pop("rate-30") == pytest.approx(30, abs=2)
            assert max(shares.values()) - min(shares.values()) < 0.2, shares


def test_weights_beside_the_sizes_are_the_encoders():
    from randommask.encoders import cost
    from randommask.experiment import encoders
    from randommask.kmers import vocab_size

    for name in ("config", "demo"):
        experiment = load(name)
        for row in experiment.ablations["size"].rows:
            keys = encoders.keys(experiment, row.encoder)
            sizes = experiment.architectures[keys.architecture]
            weights = cost.parameters(sizes, vocab_size(keys.k)) / 1e6
            assert row.at == pytest.approx(weights, rel=0.05)


def test_the_modern_architecture_has_as_many_weights():
    from randommask.encoders import cost
    from randommask.experiment import encoders
    from randommask.kmers import vocab_size

    for name in ("config", "demo", "slice"):
        experiment = load(name)
        weights = []
        for row in experiment.ablations["architecture"].rows:
            keys = encoders.keys(experiment, row.encoder)
            sizes = experiment.architectures[keys.architecture]
            # positions are learnt by BERT alone, and used beyond training's by none
            learnt = sizes.positions * sizes.hidden * (sizes.kind == "bert")
            weights.append(cost.parameters(sizes, vocab_size(keys.k)) - learnt)
        assert max(weights) / min(weights) < 1.03


def test_unequal_budgets_are_said_beside_the_answer():
    def row(label, seen):
        origin = {"tokens": "6-mers", "step": 10, "seen": seen, "kept": "a/step-1"}
        return ComparedRow(
            label=label,
            encoder=label,
            tokenization="overlapping",
            pretraining=None if seen is None else {**origin, "jobs": {"a/step-1": 1.0}},
            has_order=False,
        )

    equal = [row("a", 1000), row("b", 1000), row("untrained", None)]
    assert answer.budgets(equal) == []
    [said] = answer.budgets([*equal, row("c", 250_000)])
    assert said == (
        'Unequal budgets: pretraining saw 1 k tokens: "a", "b"; 250 k tokens: "c".'
        " Part of a difference may be this."
    )
