"""A watch over MQTT between two processes, through a restart of the broker in the middle.

Run it with ``python examples/watch_mqtt.py``. It needs mosquitto (``apt-get install mosquitto``) and ``pip install 'ssmts[stream]'``.
One process publishes the readings of four machines' sensors, with injected faults; ``ssmts watch`` answers them into a file.
In the middle of it the broker is stopped, stays away for a second, and is started again; a little later the watch
itself is killed and started again.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ssmts.datasets import make_sensors

PUBLISHER = """
import json, sys, time
import paho.mqtt.client as paho

client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="machines", clean_session=False)
client.reconnect_delay_set(1, 1)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
sent = []
for line in sys.stdin:
    sent.append(client.publish("plant/machines", line.strip(), qos=1))
    time.sleep(0.002)
while not all(each._published for each in sent):
    time.sleep(0.05)
client.disconnect()
"""


def broker(folder, port):
    """Start a broker that keeps what it has taken when it is stopped."""
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        sys.exit("This example needs mosquitto: apt-get install mosquitto")
    settings = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder}/",
    ]
    settings += ["max_queued_messages 0"] + (["user root"] if os.getuid() == 0 else [])
    (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
    process = subprocess.Popen(
        [program, "-c", folder / "mosquitto.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    return process


def watch(folder, port):
    """Start the watch."""
    command = [sys.executable, "-m", "ssmts", "watch", "--from", f"mqtt://127.0.0.1:{port}/plant/#"]
    command += [
        "--fit",
        folder / "normal.csv",
        "--false-alarm-rate",
        "1e-4",
        "--output",
        "both",
        "--to",
        folder / "answers.ndjson",
    ]
    process = subprocess.Popen(
        [*command, "--checkpoint", folder / "watch.checkpoint"], stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        print(line, end="", flush=True)
        if "subscribed to" in line:
            break
    threading.Thread(target=lambda: [print(line, end="", flush=True) for line in process.stderr], daemon=True).start()
    return process


def until(condition, seconds=60):
    """Wait for something."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen in time")
        time.sleep(0.05)


def said(folder):
    """Answers and news so far."""
    path = folder / "answers.ndjson"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def main(folder):
    """Publish, watch, restart, kill, and count."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    readings, faults = make_sensors(3000, 4, random_state=4)
    readings[:1000].to_csv(folder / "normal.csv", index_label="time")
    stream = readings[1000:]
    lines = [json.dumps({"time": str(t)} | {k: v for k, v in row.items() if v == v}) for t, row in stream.iterrows()]

    server = broker(folder, port)
    watcher = watch(folder, port)
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, str(port)], stdin=subprocess.PIPE, text=True)
    publisher.stdin.write("\n".join(lines) + "\n")
    publisher.stdin.close()

    until(lambda: len(said(folder)) > 500)
    print("-- the broker is stopped", flush=True)
    server.terminate()
    server.wait()
    time.sleep(1)
    print("-- and started again", flush=True)
    server = broker(folder, port)
    until(lambda: len(said(folder)) > 1200)
    print("-- the watch is killed (kill -9), and started again", flush=True)
    watcher.kill()
    watcher.wait()
    watcher = watch(folder, port)
    publisher.wait()
    until(lambda: len({each["time"] for each in said(folder) if "time" in each}) == len(lines))
    watcher.terminate()
    watcher.wait()
    server.terminate()
    server.wait()

    answers = [each for each in said(folder) if "time" in each]
    news = [each for each in said(folder) if "change" in each]
    keys = {each["key"] for each in answers if "key" in each} or {each["time"] for each in answers}
    print(f"{len(lines)} readings published, {len(answers)} answers to {len(keys)} of them")
    print("\ninjected faults:\n" + faults.drop(columns="size").to_string(index=False))
    print("\nincidents:")
    for each in {each["incident"]: each for each in news}.values():
        print(
            f"{each['start']}  {each['sensor']:9} {each['kind']:15} {each['severity']:9} {each['n_readings']:4} readings"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
