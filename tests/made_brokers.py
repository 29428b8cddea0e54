"""Brokers for tests, each a process of its own on the loopback address that can be stopped and started again."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
AMQTT = """
import asyncio, logging, sys
from amqtt.broker import Broker

logging.disable()
config = {
    "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}

async def serve():
    broker = Broker(config)
    await broker.start()
    await asyncio.Event().wait()

asyncio.run(serve())
"""


class Mosquitto:
    """The broker of Debian; what it holds survives a stop."""

    name, version, durable = "mosquitto", 5, True
    program = shutil.which("mosquitto", path=PATH)

    def __init__(self, folder, *lines):
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        settings = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
        ]
        if os.getuid() == 0:
            settings.append("user root")
        self.config.write_text("\n".join([*settings, *(lines or ["allow_anonymous true"])]) + "\n")
        self.process = None

    def command(self):
        return [self.program, "-c", str(self.config)]

    def start(self):
        nowhere = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command(), stdout=nowhere, stderr=nowhere)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, f"{self.name} did not start"
            time.sleep(0.05)
        raise AssertionError(f"{self.name} does not listen")

    def stop(self):
        self.process.send_signal(signal.SIGTERM if self.durable else signal.SIGKILL)
        self.process.wait(20)


class Amqtt(Mosquitto):
    """A broker in Python; what it holds is lost when it stops."""

    name, version, durable = "amqtt", 3, False
    program = importlib.util.find_spec("amqtt") and sys.executable

    def command(self):
        return [self.program, "-c", AMQTT, str(self.port)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
