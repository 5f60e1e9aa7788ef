"""A forked Snakemake is Snakemake: what it sees, what it says, how it ends."""

import os
import subprocess

import pytest
from made import typed

SNAKEFILE = """
import os, signal, sys
for seen in (sys.argv, sys.path, dict(os.environ), os.getcwd(), sys.stdin.read()):
    print(seen)
print("randommask" in sys.modules, file=sys.stderr)
os.environ["LEFT"] = "by the Snakefile"
if config.get("killed"):
    os.kill(os.getpid(), signal.SIGKILL)

rule one:
    output: "one"
    shell: "echo $LEFT >{output}"
"""


def test_the_executable_is_found_and_runs():
    done = subprocess.run([typed.SNAKEMAKE, "--version"], capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"9.")


@pytest.mark.parametrize(
    "words, status",
    [("--quiet=all -c 1", 0), ("two", 1), ("--config killed=1", -9)],
)
def test_a_fork_says_and_does_what_the_executable_does(tmp_path, words, status):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    environment = {**os.environ, "PYTHONPATH": "/a:/b", "WORD": "é"}
    words = [str(typed.SNAKEMAKE), *words.split()]
    command = {"args": words, "cwd": str(tmp_path), "env": environment}
    plain = typed.started(command)
    assert plain.returncode == status
    for _ in range(2):
        made = tmp_path / "one"
        assert made.exists() == (status == 0)
        made.unlink(missing_ok=True)
        assert vars(typed.run(command)) == vars(plain)
    assert made.exists() == (status == 0)
