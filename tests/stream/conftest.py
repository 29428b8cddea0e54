"""Real processes of ``ssmts watch``."""

import subprocess
import sys

import pytest

PIPE = subprocess.PIPE


@pytest.fixture
def watch():
    """Start ``ssmts watch``; what still runs at the end of the test is killed."""
    running = []

    def start(*arguments, **options):
        command = [sys.executable, "-m", "ssmts", "watch", *map(str, arguments)]
        process = subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, "stdout": PIPE, "stderr": PIPE} | options)
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()


@pytest.fixture
def finished(watch):
    """Run ``ssmts watch`` to its end: exit code, lines of standard output, text of standard error."""

    def run(*arguments, input=None, **options):
        process = watch(*arguments, stdin=PIPE if input is not None else subprocess.DEVNULL, **options)
        out, err = process.communicate(input, timeout=120)
        return process.returncode, (out or b"").splitlines(), (err or b"").decode()

    return run
