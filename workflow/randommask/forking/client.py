"""A command that a forked worker runs; `python -m randommask.forking.client -m ...`.

Light, as every forked command starts with it. It keeps its place in the process tree,
so that whoever waits for the command or signals it notices nothing: signals that it
gets go to the worker, and it ends with the worker's exit status, or by its signal.
"""

import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress

from randommask.forking import FORKED, SOCKET

PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
LENGTH = struct.Struct("<q")
"""Before the JSON of a request."""
ANSWER = struct.Struct("<i")
"""The worker's process id, then its exit status as `os.waitpid` gives it."""


def is_forked(words: list[str]) -> bool:
    """Whether Python's arguments are a command that the server has workers for."""
    return words[:1] == ["-m"] and any(
        words[1] == name or words[1].startswith(f"{name}.") for name in FORKED
    )


def request(words: list[str]) -> bytes:
    """All that makes a worker this command, but for its standard files."""
    os.umask(umask := os.umask(0o77))
    ignored = [n for n in PASSED_ON if signal.getsignal(n) is signal.SIG_IGN]
    asked = {
        "python": sys.executable,
        "module": words[1],
        "arguments": words[2:],
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask,
        "ignored": ignored,
    }
    # Names of files may be no UTF-8, in Python's strings lone surrogates: kept as such.
    return json.dumps(asked).encode("ascii")


def ask(server: socket.socket, words: list[str]) -> int | None:
    """Have a worker run the command; its status, or None where none was started."""
    text, came = request(words), []

    def pass_on(number: int, _: object) -> None:
        came.append(number)
        with suppress(OSError):
            server.sendall(bytes([number]))

    heeded = [n for n in PASSED_ON if signal.getsignal(n) is not signal.SIG_IGN]
    # None may come between: signals stand behind the request in the same stream.
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    before = {number: signal.signal(number, pass_on) for number in heeded}
    try:
        socket.send_fds(server, [LENGTH.pack(len(text))], [0, 1, 2])
        server.sendall(text)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
    if not _answer(server):
        for number in heeded:
            signal.signal(number, before[number])
        for number in came:
            os.kill(os.getpid(), number)
        return None
    answer = _answer(server)
    if not answer:
        sys.exit("error: the server that commands are forked from was killed")
    return ANSWER.unpack(answer)[0]


def _answer(server: socket.socket) -> bytes:
    """What the server says; nothing where it closed the connection, or was killed."""
    try:
        answer = server.recv(ANSWER.size, socket.MSG_WAITALL)
    except OSError:
        return b""
    return answer if len(answer) == ANSWER.size else b""


def main() -> None:
    """Run Python's arguments in a worker, else in Python."""
    words, status = sys.argv[1:], None
    if SOCKET in os.environ and is_forked(words):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
                server.connect(os.environ[SOCKET])
                status = ask(server, words)
        except OSError:
            pass  # it is gone, or was never on this machine
    if status is None:
        os.execv(sys.executable, [sys.executable, *words])
    if os.WIFSIGNALED(status):
        with suppress(OSError):  # SIGKILL knows no other way
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
