import subprocess
import sys

READING = """
import io, os
import pyarrow as pa, pyarrow.parquet as pq
from randommask.data import prepared

buffer = io.BytesIO()
pq.write_table(pa.table({"label": range(1000), "row": range(1000)}), buffer)
before = len(os.listdir("/proc/self/task"))
assert prepared.parquet("made.parquet", buffer.getvalue(), ["label"]).num_rows == 1000
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_reading_a_table_starts_no_threads():
    """One of Arrow's that still held the bytes when Python ended aborted the command.

    That befell one in thousands, so the threads are counted, in a process that has none
    of them yet.
    """
    read = [sys.executable, "-c", READING]
    assert subprocess.run(read, capture_output=True, text=True, check=True).stdout == (
        "0\n"
    )
