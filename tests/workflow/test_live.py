"""What Snakemake shows on a terminal where `--logger live` says so."""

import io
import os
import pty
import re
import subprocess
import sys
from logging import INFO, makeLogRecord
from types import SimpleNamespace

import pytest
from made import ROOT
from rich.console import Console

PLUGINS = str(ROOT / "workflow" / "plugins")
SNAKEFILE = """
rule all:
    input: "fine", "training", "worse"

rule fine:
    output: "fine"
    shell: "touch {output}"

rule training:
    output: "training"
    log: "training.log"
    shell: "echo step 3 of 9, 0:00:07 left: loss 1.25 >{log}; sleep 2; touch {output}"

rule worse:
    output: "worse"
    log: "worse.log"
    shell: "echo 'error: rows.csv: [no] such file' >{log}; exit 1"
"""


@pytest.fixture(scope="module")
def live():
    sys.path.append(PLUGINS)
    import snakemake_logger_plugin_live

    yield snakemake_logger_plugin_live
    sys.path.remove(PLUGINS)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_run_with_a_job_that_fails(tmp_path, is_terminal):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    words = [sys.executable, "-m", "snakemake", "--logger", "live", "--cores", "2"]
    paths = os.pathsep.join([PLUGINS, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "100", "TERM": "xterm"}
    ours, theirs = pty.openpty() if is_terminal else os.pipe()
    process = subprocess.Popen(
        [*words, "--keep-going"], cwd=tmp_path, env=environment, stderr=theirs
    )
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:  # the end of a terminal
        pass
    os.close(ours)
    assert process.wait() == 1
    said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode())
    assert "failed: worse : error: rows.csv: [no] such file (worse.log)" in said
    # once, though Snakemake and Python both close the display
    assert len(re.findall(r"2 of 4 jobs, 0:00:\d\d\r*\n", said)) == 1
    [log] = re.findall(r"Complete log\(s\): (.*\.log)", said)
    with open(log) as file:
        assert "rule training:" in file.read()
    drawn = "step 3 of 9, 0:00:07 left: loss 1.25"
    assert (drawn in said) == is_terminal
    assert "Thread" not in said


def test_time_left_goes_by_rules_and_by_what_jobs_say(live, tmp_path):
    run = live.Run(began=0.0)
    run.planned.update({"short": 5, "long": 2})
    assert run.left(0.0) is None
    for number in (1, 2):
        run.begin(number, "short", {"a": "x"}, [], 0.0)
        run.end(number, 10.0)
    # two at once so far; three short ones of 10 s, two long ones of the mean
    assert run.left(10.0) == pytest.approx(5 * 10 / 2)
    log = tmp_path / "log"
    log.write_text("step 2 of 9, 1 day, 1:00:05 left: loss 2\n\n")
    run.begin(3, "long", {}, [str(log)], 10.0)
    run.look()
    assert run.left(10.0) == 90_005


def test_many_jobs_and_brackets_are_shown(live):
    run = live.Run(began=0.0)
    run.planned.update({"job": 40})
    for number in range(20):
        run.begin(number, "job", {"name": f"[red]{number}"}, [], 0.0)
    console = Console(file=io.StringIO(), width=80)
    console.print(live.Display(run))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1 + live.MOST_SHOWN + 1
    assert "0 of 40 jobs" in lines[0]
    assert "[red]0" in lines[1]
    assert lines[-1] == "and 8 more"


def test_what_has_no_event_is_no_error(live, capsys):
    handler = live.LogHandler(SimpleNamespace(), None)
    handler.emit(makeLogRecord({"levelno": INFO, "msg": "a word"}))
    handler.close()
    assert not handler.run.planned and capsys.readouterr() == ("", "")
