"""Whatever the file system refuses is one line; only faults of ours are tracebacks."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from randommask import errors, files


def said(act):
    """The line with which a command ends that does `act`, and nothing else."""
    with pytest.raises(SystemExit) as ended:
        errors.run(act)
    assert isinstance(ended.value.code, str) and "\n" not in ended.value.code
    return ended.value.code


def refused(number, name="/data/x"):
    """What does what the file system refuses with this number."""

    def act():
        raise OSError(number, os.strerror(number), name)

    return act


def test_whatever_a_file_is_read_from(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("absent")
    for name, what in {
        "absent": "no such file or directory",
        "nowhere": "no such file or directory",
        ".": "is a directory",
        "file/below": "not a directory",
        "loop": "too many levels of symbolic links",
        "x" * 300: "file name too long",
    }.items():
        path = tmp_path / name
        assert said(lambda path=path: files.read_json(path)) == f"error: {path}: {what}"


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only file system"),
        (errno.ENOSPC, "no space left on device"),
        (errno.EDQUOT, "disk quota exceeded"),
        (errno.EIO, "input/output error"),
        (errno.ESTALE, "stale file handle"),
        (errno.ENOLCK, "no locks available"),
        (errno.ENOSYS, "function not implemented"),
        (errno.EMFILE, "too many open files"),
    ],
)
def test_whatever_a_file_system_refuses(number, what):
    assert said(refused(number)) == f"error: /data/x: {what}"
    assert said(refused(number, None)) == f"error: {what}"


def test_of_a_renamed_file_its_new_name_is_told(tmp_path):
    line = said(lambda: os.replace(tmp_path / "a", tmp_path / "b"))
    assert line == f"error: {tmp_path / 'b'}: no such file or directory"


def test_a_text_of_several_lines_becomes_one():
    """As Arrow's are; of some it fills in no number and no file."""

    def act():
        raise OSError("Could not read\n  /data/x")

    assert said(act) == "error: Could not read /data/x"


@pytest.mark.parametrize("make", [files.write_aside, files.make_aside])
def test_an_output_below_a_file_is_refused_before_any_work(tmp_path, make):
    (tmp_path / "in.fa").touch()

    def act():
        with make(tmp_path / "in.fa" / "deep" / "out"):
            pytest.fail("it was begun")

    line = said(act)
    assert f"{tmp_path / 'in.fa'}: is a file, expected the folder of" in line


class SafetensorError(Exception):
    """As safetensors', which is no OSError."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_names_the_output_and_leaves_nothing(tmp_path, error):
    def act():
        with files.make_aside(tmp_path / "model") as aside:
            aside.mkdir()
            raise error

    assert said(act) == f"error: {tmp_path / 'model'}: no space left on device"
    assert list(tmp_path.iterdir()) == []


def test_an_output_is_told_by_its_own_name(tmp_path):
    """Not by that of the file beside it that becomes it."""
    long = tmp_path / ("x" * 250)
    assert said(lambda: files.write_text(long, "")) == (
        f"error: {long}: file name too long"
    )


def test_a_fault_of_ours_is_a_traceback():
    for error in (ValueError("x"), KeyError("x"), SafetensorError("no header")):

        def act(error=error):
            raise error

        with pytest.raises(type(error)):
            errors.run(act)


def command(body, **options):
    code = f"import sys, time\nfrom randommask.errors import run\n{body}"
    return subprocess.Popen([sys.executable, "-c", code], text=True, **options)


def test_nobody_reads_on():
    """As in `python -m randommask.plan | head -1`."""
    body = "run(lambda: [print('line', n, flush=True) for n in range(100_000)])"
    pipe = subprocess.PIPE
    process = command(body, stdout=pipe, stderr=pipe)
    assert process.stdout.readline() == "line 0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 128 + signal.SIGPIPE


def test_what_is_buffered_when_nobody_reads_on():
    process = command(
        "run(lambda: print(sys.stdin.read()))",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 128 + signal.SIGPIPE


def test_ctrl_c_is_no_traceback():
    # What begins in the background of a shell would ignore it from the start.
    body = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    body += "run(lambda: (print('begun', flush=True), time.sleep(60)))"
    process = command(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == ""
    assert process.wait(60) == 128 + signal.SIGINT
