"""The audit finds every contradiction of the printed numbers that is known."""

import json
import shutil
from decimal import Decimal

import pytest
from made.results import CONFIG, EXPERIMENT

from randommask.errors import InputError
from randommask.measures import audit
from randommask.report.tables.audit import main

PUBLISHED = CONFIG / "published"


@pytest.fixture(scope="module")
def printed():
    return audit.read(PUBLISHED)


def audited(published, output):
    hparams = json.dumps({"experiment": EXPERIMENT})
    main([f"--published={published}", "--hparams", hparams, f"--output={output}"])
    return output.read_text()


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return audited(PUBLISHED, tmp_path_factory.mktemp("audit") / "audit.md")


def line(text, start):
    return next(x for x in text.splitlines() if x.startswith(start))


def test_25_wins_not_26(printed, text):
    assert audit.wins(printed) == 25
    assert audit.losses(printed, audit.TASKS) == {
        "TF-M-2": ("NT*", Decimal("78.05")),
        "CPD-notata": ("DNABERT", Decimal("71.88")),
        "PD-tata": ("NT", Decimal("90.75")),
    }
    assert "best on 25 of 28 data sets, and on 4 of the 6 promoter sets" in text
    assert line(text, "| wins |").endswith("| 26 | 25 | **disagrees** |")
    assert line(text, "| promoter-wins |").endswith("| 4 | 4 | agrees |")


def test_swapped_promoter_columns(printed, text):
    doubtful, put_right = audit.swapped(printed)
    assert doubtful == ["NT", "HyenaDNA"]
    assert put_right.table3["NT"]["PD-notata"] == Decimal("90.75")
    assert put_right.table3["NT*"] == printed.table3["NT*"]
    assert audit.wins(put_right) == 26
    assert audit.wins(put_right, audit.PROMOTERS) == 5
    assert "NT and HyenaDNA have more on tata" in text
    assert "26 of 28 data sets (not on TF-M-2, CPD-notata) and on 5 of the 6" in text
    assert "sets, and by the mean over a task's data sets on 6 of 7 tasks." in text


def test_six_tasks_not_seven(printed, text):
    lost = audit.tasks_lost(printed)
    assert list(lost) == ["CPD"]
    assert round(lost["CPD"][1], 2) == Decimal("72.80")
    assert round(printed.average("+RandomMask", "CPD"), 2) == Decimal("72.59")
    assert "6 of 7 tasks; not best: CPD" in text


def test_table2_against_table3(printed, text):
    apart = {
        (encoder, tokenization, task)
        for encoder, tokenization, task, value, candidates in audit.table2_lines(
            printed
        )
        if all(audit.verdict(v, value) == "disagrees" for v in candidates.values())
    }
    tasks = ("TF-M", "TF-H", "PD", "CPD")
    assert apart == {
        *(("NT", "non-overlapping", task) for task in tasks),
        *(("DNABERT", "overlapping", task) for task in tasks),
    }
    assert "8 of 21 numbers cannot be found again" in text
    for start, rest in (
        ("NT, non-overlapping | TF-M", "39.81 | 45.838 |  | **disagrees**"),
        ("NT, non-overlapping | PD", "88.43 | 85.51 | 87.71 | **neither**"),
        ("NT, overlapping | PD", "90.88 | 88.247 | 90.88 | equals all"),
        ("DNABERT, overlapping | TF-H", "63.55 | 64.104 |  | **disagrees**"),
        ("DNABERT, overlapping | CPD", "72.84 | 72.803 | 70.47 | **neither**"),
    ):
        assert f"| {start} | {rest} |" in text


def test_leads_and_averages(text):
    assert "printed as 4.82 (abstract" in text
    assert "as 4.72 (section 5.2" in text
    assert "65.83 - 61.01 = 4.82" in text
    assert line(text, "| emp-over-sota-abstract |").endswith("4.819 | agrees |")
    assert line(text, "| emp-over-sota-text |").endswith("4.819 | **disagrees** |")
    nt = line(text, r"| t3-avg-EMP-NT\* |")
    assert nt.endswith("| 46.47 | 46.465 | agrees within rounding |")
    assert "26 claims: 20 agree, 2 agree within rounding, 4 disagree" in text


def test_share_of_bert_mini(text):
    assert audit.parameters(audit.BASE) == 89_196_549
    assert round(audit.parameters(audit.MINI) / 1e6, 1) == 4.4
    assert "4.4 of the base encoder's 89.2 million" in text
    assert line(text, "| mini-share |").endswith("| 0.10 | 0.049 | **disagrees** |")


def test_verdicts():
    cases = {
        ("46.465", "46.47"): "rounding",
        ("46.469", "46.47"): "agrees",
        ("46.481", "46.47"): "disagrees",
        ("25", "26"): "disagrees",
        ("4", "4"): "agrees",
    }
    for (found, value), word in cases.items():
        assert audit.verdict(Decimal(found), Decimal(value)) == word


def test_changed_numbers_change_the_findings(tmp_path):
    """Computed, not typed: put right, the numbers agree."""
    shutil.copytree(PUBLISHED, tmp_path / "published")
    table3 = tmp_path / "published" / "table3.csv"
    table3.write_text(
        table3.read_text()
        .replace("+RandomMask,TF-M,TF-M-2,mcc,77.61", "+RandomMask,TF-M,TF-M-2,mcc,79")
        .replace("NT,PD,PD-tata,mcc,90.75", "NT,PD,PD-tata,mcc,70.75")
        .replace("HyenaDNA,PD,PD-tata,mcc,85.14", "HyenaDNA,PD,PD-tata,mcc,50.00")
    )
    text = audited(tmp_path / "published", tmp_path / "audit.md")
    assert "best on 27 of 28" in text
    assert "All rows agree on which set is the harder one" in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("wins,", "losses,", "no check is known for 'losses'"),
        ("26\n", "many\n", "found 'many', expected a number"),
        ("claim,", "name,", "no column 'claim'"),
    ],
)
def test_bad_claims_are_refused(tmp_path, old, new, words):
    shutil.copytree(PUBLISHED, tmp_path / "published")
    path = tmp_path / "published" / "claims.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=words):
        audited(tmp_path / "published", tmp_path / "audit.md")
    assert not (tmp_path / "audit.md").exists()


def test_missing_numbers_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"table3\.csv"):
        audit.read(tmp_path)
    shutil.copytree(PUBLISHED, tmp_path / "published")
    path = tmp_path / "published" / "table3.csv"
    path.write_text(path.read_text().replace("NT,SSP,SSP,mcc,80.39\n", ""))
    with pytest.raises(InputError, match="NT: no SSP"):
        audit.read(tmp_path / "published")
