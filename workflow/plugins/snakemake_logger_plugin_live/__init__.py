"""A run of Snakemake on a terminal: how far it is, what is running and what that says.

    PYTHONPATH=workflow/plugins snakemake --logger live --profile slurm all

Below the lines that stay (warnings, failed jobs with their last word, the end) stand
n of N jobs, about how long the rest will take, and a line for each running job with
the last line of its log: of a training its step, the time it has left and its loss.
Snakemake's own log, whose path is its last line, has all the rest.
"""

import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from logging import INFO, WARNING, LogRecord
from operator import mul

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

LEFT = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d) left")
"""What a training's log says of its time."""
TAIL_BYTES = 2000
MOST_SHOWN = 12
"""Running jobs with a line of their own: a cluster runs hundreds."""
RULE_WIDTH, NAME_WIDTH = 10, 45
OF_NO_USE = ("Workflow defines that rule",)
"""Warnings of what every run of this workflow has: rules that `--cache` would share."""
SAID_AT_THE_END = ("Complete log", "Nothing to be done")


@dataclass
class Job:
    """A job that runs."""

    rule: str
    name: str
    """Its wildcards."""
    log: str | None
    began: float
    said: str = ""
    """The last line of its log when it was last looked at."""

    def last_line(self) -> str:
        """What its log says last."""
        try:
            with open(self.log or os.devnull, "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - TAIL_BYTES))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:  # not there yet
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


@dataclass
class Run:
    """What is known of a run; times in seconds."""

    planned: Counter[str] = field(default_factory=Counter)
    """Jobs of each rule."""
    running: dict[int, Job] = field(default_factory=dict)
    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """How long each rule's finished jobs took."""
    began: float = 0.0

    def begin(
        self,
        number: int,
        rule: str,
        wildcards: Mapping[str, str] | None,
        logs: Iterable[str] | None,
        now: float,
    ) -> None:
        """Take note of a job that starts."""
        name, log = " ".join(map(str, (wildcards or {}).values())), [*(logs or ())]
        self.running[number] = Job(rule, name, log[0] if log else None, now)

    def end(self, number: int, now: float) -> None:
        """Take note of a job that is finished."""
        if job := self.running.pop(number, None):
            self.taken[job.rule].append(now - job.began)

    def done(self) -> int:
        """How many jobs are finished."""
        return sum(map(len, self.taken.values()))

    def look(self) -> None:
        """Read what the running jobs say, each once."""
        for job in list(self.running.values()):
            job.said = job.last_line()

    def left(self, now: float) -> float | None:
        """About how long the rest takes; None before anything is known of it.

        A job takes as long as others of its rule did, or else as the mean of all, and
        what runs as long as it says itself. As many run at once as did so far.
        """
        if not (every := [spent for own in self.taken.values() for spent in own]):
            return None
        mean = sum(every) / len(every)
        means = {rule: sum(own) / len(own) for rule, own in self.taken.items()}
        work, longest = 0.0, 0.0
        running = list(self.running.values())  # jobs begin and end while this counts
        waiting = Counter(self.planned)
        waiting.subtract({rule: len(own) for rule, own in self.taken.items()})
        for job in running:
            waiting[job.rule] -= 1
            spent = now - job.began
            rest = max(means.get(job.rule, mean) - spent, 0.0)
            if said := LEFT.search(job.said):
                numbers = (int(part or 0) for part in said.groups())
                rest = sum(map(mul, numbers, (86400, 3600, 60, 1)))
            work, longest = work + rest, max(longest, rest)
        work += sum(max(n, 0) * means.get(rule, mean) for rule, n in waiting.items())
        spent = sum(every) + sum(now - job.began for job in running)
        at_once = max(1.0, spent / max(now - self.began, 1e-9))
        return max(longest, work / at_once)


def duration(seconds: float) -> str:
    """As `0:02:05`."""
    return str(timedelta(seconds=round(seconds)))


class Display:
    """What `rich` draws twice a second."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __rich__(self) -> Group:
        """The bar, and a line for each job that runs."""
        run, now = self.run, time.monotonic()
        total, done = sum(run.planned.values()), run.done()
        if not total:
            return Group(Text("planning", style="dim"))
        run.look()
        left = run.left(now)
        rest = f", about {duration(left)} left" if left is not None else ""
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total, done, width=30),
            f"{done} of {total} jobs, {duration(now - run.began)}{rest}",
        )
        jobs = Table.grid(padding=(0, 2), expand=True)
        jobs.add_column(no_wrap=True, min_width=RULE_WIDTH)
        jobs.add_column(no_wrap=True, max_width=NAME_WIDTH, overflow="ellipsis")
        jobs.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        shown = sorted(run.running.values(), key=lambda job: job.began)
        for job in shown[:MOST_SHOWN]:
            # a text, or what stands in brackets would be taken for a colour
            jobs.add_row(job.rule, Text(job.name), Text(job.said, style="dim"))
        more = len(shown) - MOST_SHOWN
        tail = [Text(f"and {more} more", style="dim")] if more > 0 else []
        return Group(head, jobs, *tail)


class LogHandler(LogHandlerBase):
    """Draws on standard error; without a terminal, the lines that stay alone."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Start to draw."""
        self.run = Run()
        console = Console(stderr=True, highlight=False)
        self.live = Live(
            Display(self.run), console=console, refresh_per_second=2, transient=True
        )
        if console.is_terminal:
            self.live.start()

    def close(self) -> None:
        """Stop to draw, and say what was done."""
        self.live.stop()
        if total := sum(self.run.planned.values()):
            spent = duration(time.monotonic() - self.run.began)
            self.say(f"{self.run.done()} of {total} jobs, {spent}", "bold")
            self.run.planned.clear()  # Python closes all handlers once more
        super().close()

    def emit(self, record: LogRecord) -> None:
        """Take in one record."""
        event, run, now = getattr(record, "event", None), self.run, time.monotonic()
        if event == LogEvent.RUN_INFO:
            run.planned, run.began = Counter(record.stats), now
            del run.planned["total"]
        elif event == LogEvent.JOB_INFO:
            run.begin(record.jobid, record.rule_name, record.wildcards, record.log, now)
        elif event == LogEvent.JOB_FINISHED:
            run.end(record.job_id, now)
        elif event == LogEvent.JOB_ERROR:
            if job := run.running.pop(record.jobid, None):  # it may be tried again
                said = job.last_line() or "no word of why"
                self.say(f"failed: {job.rule} {job.name}: {said} ({job.log})", "red")
        elif event is None or event == LogEvent.ERROR:
            text = record.getMessage().strip()
            if text.startswith(OF_NO_USE):
                return
            if record.levelno >= WARNING:
                self.say(text, "red" if record.levelno > WARNING else "yellow")
            elif record.levelno >= INFO and text.startswith(SAID_AT_THE_END):
                self.say(text, "dim")

    def say(self, text: str, style: str) -> None:
        """Write a line that stays."""
        self.live.console.print(Text(text, style=style), soft_wrap=True)
