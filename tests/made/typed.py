"""Snakemake as a user types it, without the second that its imports take.

A process that has imported Snakemake, and nothing of ours, forks for each command. The
fork has the command's words, folder, environment and files, and ends as Python does.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path

if __name__ != "__main__":  # the process that forks needs none of these
    from made import ROOT
    from randommask import forking

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
# what Snakemake imports later than at its start, for each command
EVERY_TIME = ("rich.live", "smart_open", "snakemake.report.html_reporter")


def snakemake(*words, folder=None, check=True, **environment):
    """What it said and its status; `environment` is put over this process's own."""
    path = f"{SNAKEMAKE.parent}:{os.environ['PATH']}"
    command = {
        "args": [str(SNAKEMAKE), *map(str, words)],
        "cwd": str(folder or ROOT),
        "env": {**os.environ, "PATH": path, **environment},
    }
    done = run(command)
    if check:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def started(command):
    return subprocess.run(
        **command, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def forked(command):
    process = _process()
    with tempfile.TemporaryDirectory() as place:
        files = [os.devnull, f"{place}/stdout", f"{place}/stderr"]
        process.stdin.write(json.dumps(command | {"files": files}) + "\n")
        process.stdin.flush()
        status = int(process.stdout.readline())
        said = [Path(file).read_text() for file in files[1:]]
    return subprocess.CompletedProcess(command["args"], status, *said)


# elsewhere a fork is not safe
run = forked if sys.platform == "linux" else started


@cache
def _process():
    """It ends when this process closes its end of the pipe, as it does by ending."""
    # threads do not survive a fork
    alone = dict.fromkeys(forking.THREADS, "1") | forking.ALONE
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=kept | alone,
    )


def planned(*words, **options):
    """Number of jobs of each rule in a dry run."""
    return jobs(snakemake("-n", "--quiet=rules", *words, **options).stdout)


def jobs(said):
    """Those of each rule, as Snakemake lists them."""
    stats = said[said.rindex("Job stats:") :]
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", stats, re.M)}


def serve():
    """Fork for each line of standard input; in the fork, return the command."""
    for line in iter(sys.stdin.readline, ""):
        number = os.fork()
        if number == 0:
            return json.loads(line)
        _, status = os.waitpid(number, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(command):
    """Take on what makes this process the command."""
    for number, file in enumerate(command["files"]):
        opened = os.open(file, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(command["env"])
    os.chdir(command["cwd"])
    sys.argv = command["args"]
    # the script's folder, then PYTHONPATH, which the process itself was started without
    paths = command["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [os.path.dirname(sys.argv[0]), *filter(None, paths)]


if __name__ == "__main__":
    from snakemake.cli import main

    for name in EVERY_TIME:
        import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1
    if command := serve():
        become(command)
        main()
