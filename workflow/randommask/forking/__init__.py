"""Commands as forks of one process that has already imported what they need.

Two seconds of processor time go into `import torch`, more than into what most of the
demo's commands then compute. Where a config says `forking: true`, `rules/around.smk`
starts a server (`start`), and `python -m randommask.finetuning ...` in a rule becomes

    python -m randommask.forking.client -m randommask.finetuning ...

which asks the server for a worker, waits for it and ends as it ends. Where there is no
server, or the command is none of those below, it becomes that command itself: slower,
to the same result. A worker has the arguments, folder, environment, umask, standard
files and ignored signals of the command it stands for, and its exit status is its own;
`client` passes signals on, and `server` says what happens when one of them is killed.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress

SOCKET = "RANDOMMASK_FORKING"
"""The environment variable that names the server's socket."""
FORKED = (
    "randommask.data.prepare",
    "randommask.encoders",
    "randommask.finetuning",
    "randommask.report",
)
"""Rooms and modules whose commands are forked. Snakemake's benchmarks measure the
processes below a rule's shell, which forks are not: so none whose benchmark is read."""
THREADS = (
    *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
"""What Snakemake sets to the threads of a job; libraries read it when imported."""
ALONE = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Without it Arrow's memory is given back by a thread, which a fork would not have."""
OWN = {
    *ALONE,
    *("CUDA_VISIBLE_DEVICES", "TMPDIR", "TMP", "TEMP", "TEMPDIR"),
    *("PWD", "OLDPWD", "SHLVL", "_"),
}
"""Variables in which a command may differ from the server: no import reads them."""


def start() -> str:
    """Start a server for commands of one thread; return the shell's prefix for rules.

    It ends with this process, however that ends: it reads from a pipe that only this
    process can write to. It is waited for, so that `time` counts what its workers did.
    It imports nothing until it is asked to.
    """
    if sys.platform != "linux":  # elsewhere torch is not safe to fork
        return "set -euo pipefail; "
    folder = tempfile.mkdtemp(prefix="randommask-")  # ours alone: mode 700
    os.environ[SOCKET] = os.path.join(folder, "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # Listening before the server is there, so that nobody comes too early.
        listener.bind(os.environ[SOCKET])
        listener.listen(128)
        server = subprocess.Popen(
            [sys.executable, "-m", "randommask.forking.server", str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, **dict.fromkeys(THREADS, "1"), **ALONE},
            start_new_session=True,  # Ctrl-C is for the clients, which pass it on
        )
    atexit.register(end, server, folder)
    return (
        "set -euo pipefail; "
        'python() {{ command python -m randommask.forking.client "$@"; }}; '
    )


def end(server: subprocess.Popen, folder: str) -> None:
    """Let the server go; one whose workers outlive this process ends after them."""
    server.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        server.wait(10)
    shutil.rmtree(folder, ignore_errors=True)  # of a server that was killed
