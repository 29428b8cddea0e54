"""Processes of the command line that start at once: forked from one that has everything imported.

What they run and how they end is theirs alone; only the second that an import takes is saved, as often as a test starts one.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

PIPE = subprocess.PIPE


class Nursery:
    """The process that others are forked from."""

    def __init__(self):
        self.control, theirs = socket.socketpair()
        command = [sys.executable, str(Path(__file__)), str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()

    def start(self, arguments, stdin=subprocess.DEVNULL):
        """Run ``ssmts`` with arguments, its output and errors into pipes."""
        return Process(self.control, [str(each) for each in arguments], stdin)

    def close(self):
        self.control.close()
        self.process.wait(20)


class Process:
    """What `subprocess.Popen` is, as far as the tests need it."""

    def __init__(self, control, arguments, stdin):
        ends = []
        self.stdin = None
        if stdin == PIPE:
            theirs, mine = os.pipe()
            self.stdin = os.fdopen(mine, "wb")
            ends.append(theirs)
        elif stdin == subprocess.DEVNULL:
            ends.append(os.open(os.devnull, os.O_RDONLY))
        else:
            ends.append(os.dup(stdin if isinstance(stdin, int) else stdin.fileno()))
        pipes = [os.pipe() for _ in range(2)]
        self.stdout, self.stderr = (os.fdopen(mine, "rb") for mine, _ in pipes)
        ends += [theirs for _, theirs in pipes]
        self._news, theirs = socket.socketpair()
        socket.send_fds(control, [json.dumps(arguments).encode()], [*ends, theirs.fileno()])
        for end in ends:
            os.close(end)
        theirs.close()
        self.pid = json.loads(self._news.recv(64))
        self.returncode = None

    def poll(self):
        return self.wait(0.0)

    def wait(self, seconds=None):
        """The exit code; None if it has not ended in that time, where `seconds` is 0."""
        if self.returncode is None:
            self._news.settimeout(seconds)
            try:
                self.returncode = json.loads(self._news.recv(64))
            except (BlockingIOError, TimeoutError):
                if seconds:
                    raise
                return None
            self._news.close()
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, input=None, timeout=60):
        """Write the input, read what comes, and wait for the end."""
        found = {}
        threads = [
            threading.Thread(target=lambda n=n: found.update({n: getattr(self, n).read()}))
            for n in ("stdout", "stderr")
        ]
        for thread in threads:
            thread.start()
        if self.stdin is not None and not self.stdin.closed:
            with suppress(BrokenPipeError):  # as Popen does
                self.stdin.write(input or b"")
                self.stdin.close()
        for thread in threads:
            thread.join(timeout)
        self.wait(timeout)
        return found["stdout"], found["stderr"]

    def close(self):
        """Kill it if it still runs, and close the pipes."""
        self.kill()
        self.wait(20)
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):  # what was not read is of no interest any more
                    pipe.close()


def serve(control):
    """Fork a process for every message until the other end is closed."""
    from ssmts.cli import (
        _watch,  # noqa: F401 - what takes long
        main,
    )

    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 4)
        if not message:
            return
        news = socket.socket(fileno=descriptors[3])
        pid = os.fork()
        if pid == 0:
            for target, descriptor in enumerate(descriptors[:3]):
                os.dup2(descriptor, target)
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            news.close()
            control.close()
            os._exit(run(main, json.loads(message)))
        for descriptor in descriptors[:3]:
            os.close(descriptor)
        news.send(json.dumps(pid).encode())
        threading.Thread(target=report, args=(pid, news), daemon=True).start()


def run(main, arguments):
    """What ``python -m ssmts`` does, and what the interpreter does at its end."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


def report(pid, news):
    _, status = os.waitpid(pid, 0)
    news.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
    news.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(socket.socket(fileno=int(sys.argv[1])))
