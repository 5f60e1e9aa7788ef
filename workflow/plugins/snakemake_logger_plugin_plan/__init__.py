"""The jobs of a dry run as JSON, one a line: what `randommask.plan` reads.

    PYTHONPATH=workflow/plugins snakemake -n --logger plan all

Found by Snakemake through its name; nothing else uses it.
"""

import json
import sys
from logging import ERROR, LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    """Jobs on standard output, what is wrong on standard error, nothing else."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Write one record."""
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            job = {
                "rule": record.rule_name,
                "wildcards": record.wildcards,
                "input": record.input,
                "output": record.output,
                "benchmark": record.benchmark,
                "threads": record.threads,
                "resources": {
                    name: value
                    for name, value in record.resources.items()
                    if isinstance(value, int | str)
                },
                "command": record.shellcmd,
            }
            print(json.dumps(job))
        elif record.levelno >= ERROR or "did you mean" in record.getMessage():
            print(record.getMessage(), file=sys.stderr)
