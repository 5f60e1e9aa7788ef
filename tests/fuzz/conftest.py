"""`make fuzz` prints what was tried; `make test` tries less, and always the same."""

import os

from fuzz.spoiling import TRIES


def pytest_terminal_summary(terminalreporter):
    if "FUZZ_EXAMPLES" not in os.environ or not TRIES:
        return
    failed = {
        report.nodeid.split("::")[-1].removeprefix("test_")
        for report in terminalreporter.getreports("failed")
    }
    terminalreporter.write_line("\n| reader | tries | refused | failures |")
    terminalreporter.write_line("| --- | ---: | ---: | ---: |")
    for reader, (tries, refused) in sorted(TRIES.items()):
        line = f"| {reader} | {tries:,} | {refused:,} | {int(reader in failed)} |"
        terminalreporter.write_line(line)
