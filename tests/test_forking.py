"""A forked command is the command: what it sees, what it says, how it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from randommask import forking
from randommask.files import WORKFLOW

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

PROBE = """
import atexit, os, random, signal, sys, threading, time
print("imported in", os.getpid(), file=open("imported", "a"))
LATE = "imported before it ran"

def stop(number, frame):
    print("got", number, flush=True)
    sys.exit(7)

if __name__ == "__main__":
    print(sys.argv[1:], os.getcwd(), sys.path[0], oct(os.umask(0o22)))
    print(os.environ.get("PROBE"), sys.stdin.read(4), sys.stdout.line_buffering)
    print("to stderr", file=sys.stderr)
    open("parent", "w").write(str(os.getppid()))
    match sys.argv[1]:
        case "code":
            sys.exit(3)
        case "message":
            sys.exit("error: one line")
        case "fault":
            raise ValueError("a fault")
        case "kill":
            sys.stdout.flush()
            os.kill(os.getpid(), int(sys.argv[2]))
        case "late":
            atexit.register(print, "at the end")
            threading.Timer(0.3, print, ["from a thread"]).start()
        case "lost":
            sys.stdout = open("/dev/full", "w")
            print("lost")
        case "draw":
            open(sys.argv[2], "w").write(str(random.random()))
        case "wait":
            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGUSR1, stop)
            open("pid", "w").write(str(os.getpid()))
            time.sleep(60)
"""
CLIENT = """
from randommask.forking import client
client.FORKED = ("probe",)
client.main()
"""
STARTER = """
import sys
from randommask import forking
forking.start()
import os
print(os.environ[forking.SOCKET], flush=True)
sys.stdin.read()
"""


class Server:
    """A server of its own for the module `probe`, and commands for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "probe.py").write_text(PROBE)
        threads = dict.fromkeys(forking.THREADS, "1")
        path = f"{WORKFLOW}:{folder}"
        self.environment = {**os.environ, **threads, "PYTHONPATH": path, "PROBE": "é"}
        self.starter = subprocess.Popen(
            [sys.executable, "-c", STARTER],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.socket = self.starter.stdout.readline().strip()

    @property
    def pid(self) -> int:
        """Of the only child of what started it."""
        pid = self.starter.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0])

    def popen(self, *words: str, is_forked: bool = True, **changed: str):
        environment = {**self.environment, **changed, forking.SOCKET: self.socket}
        command = ["-c", CLIENT, "-m"] if is_forked else ["-m"]
        return subprocess.Popen(
            [sys.executable, *command, "probe", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=0o27,
        )

    def run(self, *words: str, **changed) -> tuple[int, bytes, bytes]:
        with self.popen(*words, **changed) as process:
            out, err = process.communicate(b"read by it", timeout=60)
        return process.returncode, out, err

    def waiting(self) -> tuple[subprocess.Popen, int]:
        """A command that waits, and the number of its worker."""
        process = self.popen("wait")
        process.stdin.write(b"read")
        process.stdin.close()
        process.stdin = None
        pid = self.folder / "pid"
        until(lambda: pid.exists() and pid.read_text())
        return process, int(pid.read_text())

    def parent(self) -> int:
        """Of the process that ran the last command."""
        return int((self.folder / "parent").read_text())


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.starter.stdin.close()
    made.starter.wait(10)
    made.starter.stdout.close()


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


WAYS = (
    ("none",),
    ("code",),
    ("late",),
    ("lost",),
    ("message", "a b", "c'd", "\udcff"),
    ("kill", str(int(signal.SIGKILL))),
    ("kill", str(int(signal.SIGTERM))),
    ("kill", str(int(signal.SIGINT))),
)


@pytest.mark.parametrize("words", WAYS, ids=lambda words: "-".join(words[:2]))
def test_a_worker_is_the_command_and_ends_as_it_does(server, words):
    plain = server.run(*words, is_forked=False)
    assert server.parent() == os.getpid()
    if words[-1] != str(int(signal.SIGINT)):  # whose traceback has other frames
        assert server.run(*words) == plain
    else:
        assert server.run(*words)[:2] == plain[:2]
    assert server.parent() == server.pid
    assert b"read " in plain[1] and "é".encode() in plain[1]


def test_a_fault_ends_in_its_traceback(server):
    status, _, said = server.run("fault")
    assert status == 1 and said.splitlines()[-1] == b"ValueError: a fault"
    assert server.parent() == server.pid


def test_the_server_imports_once_and_no_two_workers_draw_the_same(server):
    for name in ("one", "two"):
        assert server.run("draw", name)[0] == 0
    # once to be forked from, and each time as it runs, which is not the import's work
    assert len((server.folder / "imported").read_text().splitlines()) == 3
    one, two = ((server.folder / name).read_text() for name in ("one", "two"))
    assert one != two


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_the_client_reaches_the_worker(server, number):
    process, worker = server.waiting()
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 7 and f"got {int(number)}".encode() in out
    assert not is_there(worker)


def test_ctrl_c_ends_it_by_its_signal(server):
    process, worker = server.waiting()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT and b"KeyboardInterrupt" in said
    assert not is_there(worker)


def test_a_client_that_is_killed_takes_its_worker_with_it(server):
    process, worker = server.waiting()
    process.kill()
    process.communicate()
    until(lambda: not is_there(worker))
    assert server.run("code")[0] == 3 and server.parent() == server.pid


def test_a_worker_that_is_killed_is_seen_as_such(server):
    process, worker = server.waiting()
    os.kill(worker, signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL


def test_a_killed_server_is_one_line_and_the_next_commands_do_without(server):
    process, worker = server.waiting()
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    line = "error: the server that commands are forked from was killed"
    assert process.returncode == 1 and said.decode().splitlines()[-1] == line
    until(lambda: not is_there(worker))
    assert server.run("code") == server.run("code", is_forked=False)
    assert server.parent() == os.getpid()
    server.starter.stdin.close()
    server.starter.wait(10)
    assert not Path(server.socket).parent.exists()


@pytest.mark.parametrize("changed", [{"OMP_NUM_THREADS": "2"}, {"PYTHONPATH": ""}])
def test_another_environment_is_a_command_of_its_own(server, changed):
    changed = {
        key: value or f"{server.environment[key]}:/" for key, value in changed.items()
    }
    assert server.run("code", **changed)[0] == 3
    assert server.parent() == os.getpid()
    assert server.run("code", CUDA_VISIBLE_DEVICES="")[0] == 3
    assert server.parent() == server.pid


def test_the_server_ends_with_its_starter_but_not_before_its_workers(server):
    process, worker = server.waiting()
    pid, place = server.pid, Path(server.socket)
    server.starter.kill()
    server.starter.wait()
    time.sleep(0.2)
    assert is_there(pid) and is_there(worker)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 7
    until(lambda: not is_there(pid) and not place.parent.exists())


@pytest.mark.parametrize(
    "module",
    [
        "randommask.finetuning",
        "randommask.report.figures",
        *(
            pytest.param(f"randommask.{name}", marks=pytest.mark.sweep)
            for name in (
                "data.prepare",
                "encoders.untrained",
                "finetuning.kmer_linear",
                "finetuning.no_model",
                "report.tables",
            )
        ),
    ],
)
def test_imports_leave_one_thread_to_fork_from(module):
    """Else the server would leave each command to itself."""
    code = (
        "import os, sys; from randommask.forking import server\n"
        f"server.preload({module!r}); assert {module!r} in sys.modules\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    environment = {**os.environ, **dict.fromkeys(forking.THREADS, "1"), **forking.ALONE}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "1\n", done.stderr
