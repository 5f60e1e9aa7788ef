"""The server that forks workers: `forking.start` starts it, one a run of Snakemake.

It is asked for a module by name, imports it and all that it imports, and forks. It runs
none of it: it has one thread and has done no work of torch, numpy or Arrow, so that a
worker finds what a new process finds after its imports. The worker leaves the loop and
runs the module as `python -m` does, and ends as Python does (`end`).

Who is killed, and what then:
- a client: its worker, by SIGKILL.
- a worker: the client ends by the same signal.
- the server: its workers, by the kernel; their clients say so and fail.
- Snakemake: the server takes no more, and ends with the last worker, as the clients and
  their shells go on too.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from randommask.forking import OWN, SOCKET
from randommask.forking.client import ANSWER, LENGTH, PASSED_ON

PATIENCE = 10.0
"""Seconds for a client to say what it wants, while others wait."""
PR_SET_PDEATHSIG = 1
ENVIRONMENT = dict(os.environ)
"""Before any import, which may set variables too."""


@dataclass(frozen=True)
class Worker:
    """A forked command that runs."""

    number: int
    """Its process id, not used again before `os.waitpid`."""
    ended: int
    """A file descriptor that can be read from when it has ended."""
    client: socket.socket


def receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What a client asks for, and its standard files."""
    client.settimeout(PATIENCE)
    head, files, _, _ = socket.recv_fds(client, LENGTH.size, 3)
    text = client.makefile("rb").read(*LENGTH.unpack(head))
    client.settimeout(None)
    return json.loads(text), files


def is_fit(asked: dict[str, Any]) -> bool:
    """Whether a fork of this process is the same as a new one that was asked for."""

    def read(environment: dict[str, str]) -> dict[str, str]:
        return {key: environment[key] for key in environment.keys() - OWN}

    has_one_thread = len(os.listdir("/proc/self/task")) == 1
    return (
        has_one_thread
        and asked["python"] == sys.executable
        and read(asked["environment"]) == read(ENVIRONMENT)
    )


def preload(module: str) -> None:
    """Import a command. If that fails, the worker will fail at it, and say so."""
    if module in sys.modules:
        return
    with suppress(Exception):
        found = importlib.import_module(module)
        if hasattr(found, "__path__"):
            importlib.import_module(f"{module}.__main__")
    gc.collect()
    gc.freeze()  # a collection in a worker then copies no page of these


class Server:
    """The loop: clients that come, clients that say something, workers that end."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.workers: dict[int, Worker] = {}
        """By the number of what tells their end."""
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self.accept)
        self.selector.register(0, selectors.EVENT_READ, self.close)

    def serve(self) -> dict[str, Any] | None:
        """Fork until Snakemake is gone and nobody works; in a worker, its request."""
        while self.selector.get_map():
            for key, _ in self.selector.select():
                # What the same round has unregistered is no event any more.
                if self.selector.get_map().get(key.fd) is key:
                    asked = key.data(key.fileobj)
                    if asked is not None:
                        return asked
        return None

    def close(self, _: int) -> None:
        """Snakemake has ended."""
        self.selector.unregister(0)
        self.selector.unregister(self.listener)
        self.listener.close()

    def accept(self, _: socket.socket) -> dict[str, Any] | None:
        """Fork for a new client, or leave it to itself; in the worker, its request."""
        client, _ = self.listener.accept()
        try:
            asked, files = receive(client)
        except (OSError, ValueError):  # it was killed meanwhile
            client.close()
            return None
        if is_fit(asked):
            preload(asked["module"])
        number = os.fork() if is_fit(asked) else None
        if number == 0:
            self._leave(client)
            become(asked, files)
            return asked
        for file in files:
            os.close(file)
        if number is None:
            client.close()
            return None
        worker = Worker(number, os.pidfd_open(number), client)
        self.workers[worker.ended] = worker
        self.selector.register(worker.ended, selectors.EVENT_READ, self.reap)
        self.selector.register(
            client, selectors.EVENT_READ, lambda _: self.heed(worker)
        )
        with suppress(OSError):
            client.sendall(ANSWER.pack(number))
        return None

    def heed(self, worker: Worker) -> None:
        """Give the worker the signals that its client got, or end both."""
        try:
            numbers = worker.client.recv(64)
        except OSError:
            numbers = b""
        for number in numbers or [signal.SIGKILL]:
            os.kill(worker.number, number)
        if not numbers:
            self.selector.unregister(worker.client)

    def reap(self, ended: int) -> None:
        """Tell a client how its worker ended."""
        worker = self.workers.pop(ended)
        _, status = os.waitpid(worker.number, 0)
        self.selector.unregister(ended)
        os.close(ended)
        with suppress(KeyError):  # it was killed
            self.selector.unregister(worker.client)
        with suppress(OSError):
            worker.client.sendall(ANSWER.pack(status))
        worker.client.close()

    def _leave(self, client: socket.socket) -> None:
        """In a worker: close what is the server's, which its clients wait for."""
        self.selector.close()
        self.listener.close()
        client.close()
        for worker in self.workers.values():
            worker.client.close()
            os.close(worker.ended)


def become(asked: dict[str, Any], files: list[int]) -> None:
    """In a worker: take on what makes it the command."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    imported = os.environ.items() - ENVIRONMENT.items()
    os.environ.clear()
    os.environ.update(asked["environment"] | dict(imported))
    tempfile.tempdir = None
    os.umask(asked["umask"])
    os.chdir(asked["folder"])
    sys.path[0] = asked["folder"]
    sys.argv = [asked["module"], *asked["arguments"]]
    # The module that is run is run anew, as `__main__`.
    is_package = hasattr(sys.modules.get(asked["module"]), "__path__")
    sys.modules.pop(asked["module"] + ".__main__" * is_package, None)
    for number in PASSED_ON:
        action = signal.SIG_IGN if number in asked["ignored"] else signal.SIG_DFL
        if number == signal.SIGINT and action is signal.SIG_DFL:
            action = signal.default_int_handler
        signal.signal(number, action)


def main() -> None:
    """Serve the socket that is open under the number given; or, forked, the command."""
    server, folder = os.getpid(), os.path.dirname(os.environ[SOCKET])
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        asked = Server(listener).serve()
    if asked is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # it died before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if not isinstance(error.code, int | None):
            raise  # a word to be printed first
        end(error.code or 0)
    end(0)


def end(status: int) -> None:
    """End a worker as Python ends, but for the freeing of what the server imported.

    To free an object is to write to it, and the kernel copies each page of the server's
    that a worker writes to.
    """
    threading._shutdown()  # waits for those that are no daemons
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # Python itself says what is lost, and ends with 120
    os._exit(status)


if __name__ == "__main__":
    main()
