"""MQTT and Kafka with real brokers: restarts in mid-stream, kills, wrong passwords that nobody gets to see."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import paho.mqtt.client as paho
import pytest
from confluent_kafka import Consumer, Producer
from made_brokers import PATH, Amqtt, Mosquitto
from made_streams import values, wide

BROKERS = [each for each in (Mosquitto, Amqtt) if each.program]
pytestmark = pytest.mark.broker
FAST = ("--warmup", "100")


@pytest.fixture(params=BROKERS, ids=lambda kind: kind.name)
def broker(request, tmp_path):
    broker = request.param(tmp_path)
    broker.start()
    yield broker
    if broker.process.poll() is None:
        broker.stop()


class Client:
    """A client with a session, which keeps what it receives and delivers what it sends."""

    def __init__(self, broker, name, topic=None):
        self.came, self.subscribed = [], False
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=topic is None)
        self.client.on_message = lambda client, data, message: self.came.append(message.payload)
        if topic is not None:
            self.client.on_connect = lambda client, *rest: client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *rest: setattr(self, "subscribed", True)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        self.sent = []

    def send(self, topic, lines, pause=0.0):
        for line in lines:
            self.sent.append(self.client.publish(topic, line, qos=1))
            time.sleep(pause)

    def delivered(self, seconds=30):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not all(each._published for each in self.sent):
            time.sleep(0.02)
        assert all(each._published for each in self.sent)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def lines_of(path):
    return path.read_bytes().splitlines() if path.exists() else []


def subscribed(process, again=b""):
    for line in process.stderr:
        if again + b"subscribed to" in line:
            return
    raise AssertionError("it has not subscribed")


def ended(process, number=signal.SIGTERM):
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    return process.returncode, err.decode()


def test_a_broker_is_stopped_and_started_again_in_mid_stream(watch, broker, tmp_path):
    """Nothing is lost; answers that came twice over MQTT have the same key."""
    out = tmp_path / "out.ndjson"
    at = f"mqtt://127.0.0.1:{broker.port}"
    reader = Client(broker, "reader", "answers")
    process = watch(
        "--from", f"{at}/plant/#", "--to", out, "--to", f"{at}/answers", "--checkpoint", tmp_path / "c", *FAST,
        "--mqtt-version", broker.version,
    )  # fmt: skip
    writer = Client(broker, "writer")
    lines = wide(values(900))
    subscribed(process)
    sender = threading.Thread(target=writer.send, args=("plant/a", lines[:600], 0.002))
    sender.start()
    time.sleep(0.5)
    if not broker.durable:  # what such a broker has taken and not handed on is lost, whoever watches
        sender.join()
        until(lambda: len(lines_of(out)) == 600)
        writer.delivered()
    broker.stop()
    time.sleep(0.5)
    broker.start()
    subscribed(process, b"again ")
    sender.join()
    writer.send("plant/b", ["\n".join(lines[600:700]), "[" + ",".join(lines[700:]) + "]"])
    until(lambda: len(lines_of(out)) >= 900)
    assert ended(process)[0] == 0
    answers = [json.loads(line) for line in lines_of(out)]
    wanted = [json.loads(line)["time"] for line in lines]
    assert sorted({answer["time"] for answer in answers}) == wanted
    keys = {answer["key"] for answer in answers}
    assert len(keys) == 900
    if broker.durable:
        until(lambda: len({json.loads(line)["key"] for each in reader.came for line in each.splitlines()}) == 900)
    writer.close()
    reader.close()


def test_a_watch_that_ends_has_delivered_all_its_answers(watch, broker):
    reader = Client(broker, "reader", "answers")
    until(lambda: reader.subscribed)
    process = watch(
        "--to", f"mqtt://127.0.0.1:{broker.port}/answers", "--mqtt-version", broker.version, *FAST, stdin=subprocess.PIPE
    )  # fmt: skip
    process.communicate("\n".join(wide(values(500))).encode())
    assert process.returncode == 0
    until(lambda: sum(len(each.splitlines()) for each in reader.came) == 500)
    keys = [json.loads(line)["key"] for each in reader.came for line in each.splitlines()]
    assert keys == list(range(1, 501))
    reader.close()


@pytest.mark.skipif(
    not Mosquitto.program, reason="needs mosquitto, for amqtt forgets what it owes a client that is gone"
)
@pytest.mark.parametrize("broker", [Mosquitto], ids=["mosquitto"], indirect=True)
def test_killed_while_messages_come_every_one_is_answered(watch, broker, tmp_path):
    out = tmp_path / "out.ndjson"
    arguments = (
        "--from", f"mqtt://127.0.0.1:{broker.port}/plant/s", "--to", out, "--checkpoint", tmp_path / "c", *FAST,
        "--mqtt-version", broker.version,
    )  # fmt: skip
    lines = wide(values(1500))
    process = watch(*arguments)
    writer = Client(broker, "writer")
    subscribed(process)
    sender = threading.Thread(target=writer.send, args=("plant/s", lines, 0.001))
    sender.start()
    for _ in range(2):
        time.sleep(0.6)
        process.kill()
        process.communicate()
        process = watch(*arguments)
    sender.join()
    until(lambda: len(lines_of(out)) >= 1500)
    assert ended(process)[0] == 0
    times = [json.loads(line)["time"] for line in lines_of(out)]
    assert sorted(set(times)) == [json.loads(line)["time"] for line in lines]
    assert len(times) <= 1500 + 100, "twice at most what was acknowledged while it was killed"
    writer.close()


@pytest.mark.skipif(not Mosquitto.program, reason="needs mosquitto, for amqtt here takes everyone")
def test_a_password_is_not_printed_and_a_wrong_one_is_refused(watch, finished, tmp_path):
    file = tmp_path / "passwords"
    file.write_text("ann:secret-word\n")
    subprocess.run([shutil.which("mosquitto_passwd", path=PATH), "-U", file], check=True, capture_output=True)
    file.chmod(0o644)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {file}")
    broker.start()
    address = f"mqtt://ann:secret-word@127.0.0.1:{broker.port}/plant"
    process = watch("--from", address, "--checkpoint", tmp_path / "c")
    subscribed(process)
    code, err = ended(process)
    assert (code, "secret" in err) == (0, False)
    assert b"secret" not in (tmp_path / "c").read_bytes()
    environment = os.environ | {"SSMTS_MQTT_USER": "ann", "SSMTS_MQTT_PASSWORD": "wrong-word"}
    code, _, err = finished("--from", f"mqtt://127.0.0.1:{broker.port}/plant", env=environment)
    assert code == 1
    assert re.search(r"mqtt://127.0.0.1:\d+/plant is refused: Not authorized", err)
    assert "word" not in err
    broker.stop()


@pytest.mark.skipif(not Mosquitto.program or not shutil.which("openssl"), reason="needs mosquitto and openssl")
def test_an_encrypted_connection_trusts_the_authority_that_is_named(watch, finished, tmp_path):
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = {name: tmp_path / f"{name}.pem" for name in ("key", "cert")}
    command = ["openssl", *request.split(), "-keyout", files["key"], "-out", files["cert"]]
    subprocess.run(command, check=True, capture_output=True)
    files["key"].chmod(0o644)
    broker = Mosquitto(tmp_path, "allow_anonymous true", f"certfile {files['cert']}", f"keyfile {files['key']}")
    broker.start()
    at, out = f"mqtts://localhost:{broker.port}/plant", tmp_path / "out"
    process = watch("--from", at, "--tls-ca", files["cert"], "--to", out, *FAST)
    subscribed(process)
    lines = wide(values(300))
    writer = paho.Client(paho.CallbackAPIVersion.VERSION2)
    writer.tls_set(str(files["cert"]))
    writer.connect("localhost", broker.port)
    writer.loop_start()
    for start in range(0, 300, 50):
        writer.publish("plant", "\n".join(lines[start : start + 50]), qos=1)
    until(lambda: len(lines_of(out)) == 300)
    assert ended(process)[0] == 0
    writer.disconnect()
    writer.loop_stop()
    process = watch("--from", at)  # an authority that nobody knows
    assert b"cannot be reached" in next(iter(process.stderr))
    assert ended(process)[0] == 0
    broker.stop()


# Kafka ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def kafka():
    """A producer that holds librdkafka's mock cluster, and the cluster's address."""
    producer = Producer({"bootstrap.servers": "nowhere", "test.mock.num.brokers": 1, "log_level": 0})
    (found,) = producer.list_topics(timeout=20).brokers.values()
    return producer, f"kafka://{found.host}:{found.port}"


def produce(producer, lines):
    for line in lines:
        producer.produce("plant", line, partition=0)
    assert producer.flush(20) == 0


def test_kafka_to_a_file_is_exactly_once_through_kills(watch, kafka, tmp_path):
    producer, at = kafka
    out = tmp_path / "out.ndjson"
    lines = wide(values(3000))
    arguments = ("--from", f"{at}/plant", "--to", out, "--checkpoint", tmp_path / "c", "--every", "50rows", *FAST)
    produce(producer, lines[:1000])
    for most in (300, 1500):
        process = watch(*arguments)
        until(lambda most=most: len(lines_of(out)) > most)
        process.kill()
        process.communicate()
        produce(producer, ["\n".join(lines[1000:1500]), "oops", *lines[1500:2000]] if most == 300 else lines[2000:])
    process = watch(*arguments)
    until(lambda: len(lines_of(out)) >= 3000)
    assert ended(process)[0] == 0
    answers = [json.loads(line) for line in lines_of(out)]
    assert [answer["time"] for answer in answers] == [json.loads(line)["time"] for line in lines]


def test_kafka_to_kafka_commits_what_was_answered(watch, kafka):
    producer, at = kafka
    lines = wide(values(400))
    produce(producer, lines[:200])
    consumer = Consumer(
        {"bootstrap.servers": at.partition("//")[2], "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["answers"])
    answers = []

    def more(count):
        found = consumer.poll(0.1)
        if found is not None and not found.error():
            answers.append(json.loads(found.value()))
        return len(answers) >= count

    for part in range(2):
        process = watch("--from", f"{at}/plant", "--to", f"{at}/answers", "--client-id", "w", *FAST)
        until(lambda part=part: more(200 * (part + 1)), 60)
        assert ended(process)[0] == 0
        produce(producer, lines[200:] if part == 0 else [])
    consumer.close()
    assert sorted(answer["time"] for answer in answers) == [json.loads(line)["time"] for line in lines]
    assert {answer["key"] for answer in answers} == {f"plant/0/{offset}" for offset in range(400)}
