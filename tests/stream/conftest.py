"""Real processes of ``ssmts watch``."""

import subprocess
import sys

import pytest
from made_processes import PIPE, Nursery


@pytest.fixture(scope="session")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def watch(nursery):
    """Start ``ssmts watch``; what still runs at the end of the test is killed."""
    running = []

    def start(*arguments, stdin=subprocess.DEVNULL):
        process = nursery.start(["watch", *arguments], stdin)
        running.append(process)
        return process

    yield start
    for process in running:
        process.close()


@pytest.fixture
def finished(watch):
    """Run ``ssmts watch`` to its end: exit code, lines of standard output, text of standard error."""

    def run(*arguments, input=None, **options):
        if options:  # such as need an interpreter of their own
            command = [sys.executable, "-m", "ssmts", "watch", *map(str, arguments)]
            done = subprocess.run(command, input=input, capture_output=True, timeout=120, **options)
            return done.returncode, done.stdout.splitlines(), done.stderr.decode()
        process = watch(*arguments, stdin=PIPE if input is not None else subprocess.DEVNULL)
        out, err = process.communicate(input, timeout=120)
        return process.returncode, out.splitlines(), err.decode()

    return run
