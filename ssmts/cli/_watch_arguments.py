"""The arguments of ``ssmts watch``, and nothing that takes long to import."""

from __future__ import annotations

import argparse
from typing import Any

from ._types import count, length, port, writable

__all__ = ["add_watch_arguments"]

WARMUP = 500  # readings, by which the tail of the default false-alarm rate can be told
DETECTORS = {
    "innovation": "InnovationDetector",
    "auto": "AutoDetector",
    "shift": "ShiftDetector",
    "spread": "SpreadDetector",
    "changepoint": "ChangePointDetector",
    "joint": "JointDetector",
}
INCIDENT_RULES = (
    "breaches", "clears", "clear_factor", "gap", "refractory", "release", "floor", "missing_after", "stuck_after", "slow_level", "grace",
)  # fmt: skip
FORMATS = ("auto", "ndjson", "csv", "influx")

WATCH = """\
Watch a stream of sensor readings: answer each with one JSON object, at once.

  {"time":..,"p_value":..,"alert":..,"sensor":..,"observed":..,"expected":..,"lower":..,"upper":..,
   "status":..,"incident":..}

sensor is the one that adds most to the strangeness of the reading; observed, expected, lower and upper are
its own. status is warming (learnt from, not yet scored), ok, alert, or no-data (all sensors silent);
incident the id of the open incident that the sensor takes part in. What is not known is null.
"""
WATCH_NOTES = """\
sources (--from, --follow):
  -                          standard input
  FILE                       to its end; Parquet by its ending, else lines
  --follow FILE              as it grows, through rotation (renamed, or emptied in place)
  mqtt://HOST:PORT/TOPIC     messages of a topic, which may have wildcards; mqtts:// encrypts
  kafka://HOST:PORT/TOPIC    messages of a topic; several hosts with commas; kafkas:// encrypts
  A message is one line or several, or a JSON array of objects.

sinks (--to, several may be given):
  -                          standard output
  FILE                       NDJSON, appended
  mqtt://.., kafka://..      as above; MQTT gets the answers of a block as lines of one message
  http://.., https://..      incidents only, one POST each time one is opened, changed or closed, tried again
                             until it arrives; header Idempotency-Key

brokers:
  User and password come from SSMTS_MQTT_USER and SSMTS_MQTT_PASSWORD, SSMTS_KAFKA_USER and
  SSMTS_KAFKA_PASSWORD, or from the address, mqtt://user:password@.. (which others can read in the list of
  processes, and is warned of); they are never printed. A lost connection is reported, and built up again.
  What cannot be taken waits at the broker: MQTT messages are acknowledged (QoS 1, a session that the broker
  keeps under --client-id), Kafka offsets committed (group --client-id), once their answers are flushed, and
  are in the checkpoint if there is one (without one, what is held for its order is lost by a kill).

readings:
  Lines are NDJSON, CSV (with a header line) or Influx line protocol (--format influx). They are wide, with a
  field for every sensor,
    {"time": "08:00", "flow": 1.5, "heat": null}
  or long, with the names of one sensor and its value, in fields sensor (sensor_id, unique_id) and value (y),
  or in those that --long names:
    {"time": "2024-05-01T08:00:00Z", "sensor": "flow", "value": 1.5}
  A field that is empty, null, NaN or NA (or, in NDJSON, absent) is a silent sensor.
  Other lines that cannot be read get no answer and stop nothing; each is reported on standard error with
  its number (the first hundred; then their count). A summary follows at the end.

time:
  Wide readings count in the order in which they come, and their times are handed through as they are: they
  may be irregular, twice the same, or go backwards. --late puts them in the order of their times, which then
  have to be ISO 8601 (UTC unless they say otherwise) or numbers of seconds (or milli-, micro-, nanoseconds,
  by their size) since 1970. What comes later than --late is counted, reported and left out. Twenty such
  readings in a row are no late ones but a clock that was set back: they are taken, in their own order.
  Long readings always need their times. Those with the same time make a row, of which other sensors are
  silent; --align lets them differ by so much. Two values of a sensor at one time make two rows. A row is
  answered once a later time has come, and --late has gone by. Nothing is resampled.

incidents:
  One fault is one incident, however many readings are in alarm. --output incidents tells what happens to
  them, --output both does between the answers:
    {"change":"opened","incident":ID,"sensor":..,"kind":..,"severity":..,"start":..,"observed":..,...}
  change is opened, changed (kind, severity or sensors) or closed; kind a guess: spike, level_shift, drift,
  variance_burst, stuck, dropout; expected, lower and upper are those of the slow range of the sensor. Rules
  are set by --incident: breaches and clears (readings in a row), clear_factor, gap, refractory, release,
  floor (in the unit of the sensors), missing_after, stuck_after, slow_level (none turns these three off),
  grace; see ssmts.IncidentTracker. Intervals are counted in rows, unless the stamps of what was learnt from
  can be read. Then --live tells of missing data also while nothing comes at all: an incident (dropout) opens
  after missing_after usual intervals by this machine's clock, with the stamp of the last reading, and closes
  with the next one. What it tells depends on when readings arrive.

checkpoints:
  --checkpoint holds everything to go on with after any end, kill -9 too: detector, position in the source,
  length of the output, readings held for their order. Started again with the same options, the watch goes on
  (--fit and --model are not read again). Then every reading is answered exactly once where the source is a
  file, a file that is followed, Parquet, or standard input from a file (or from a pipe that brings the whole
  stream --again), and the sink is a file, which is cut back to its length at the checkpoint: its bytes are
  those of a watch that was never stopped. From Kafka to a file it is exactly once, too. Readings of MQTT may be
  answered twice, if the broker sends them again after they were acknowledged, and other sinks get the
  answers since the last checkpoint again: at least once; their answers carry a "key", the same for the same
  reading (the line, or topic/partition/offset, or topic/digest of the message), to tell by. A checkpoint that cannot be
  written (a full disk) leaves the one before, is reported, and stops nothing.

exit codes:
  0 at the end of the input and on SIGTERM, 130 on the interrupt key, 141 when nobody reads the answers any
  more. In all three cases what was read has been answered (or is in the checkpoint), and --save is done.
  1, 2: see `ssmts --help`.
"""


def add_watch_arguments(command: Any, add_alarm: Any) -> None:
    """Add the arguments, those of the alarm level by `add_alarm`."""
    _add_source(command)
    _add_detector(command, add_alarm)
    _add_time(command)
    _add_broker(command)
    group = command.add_argument_group("what happens to the answers")
    group.add_argument(
        "--to", action="append", metavar="SINK", help="where answers go, see below; - unless given; may be repeated"
    )
    group.add_argument(
        "--output",
        choices=("readings", "incidents", "both"),
        default="readings",
        help="what they are: an answer to each reading, what happens to incidents, or both; default: readings",
    )
    group.add_argument(
        "--incident",
        type=_option,
        action="append",
        metavar="NAME=NUMBER",
        help="a rule for incidents, see below; repeatable",
    )
    group.add_argument(
        "--live",
        action="store_true",
        help="readings come as they are taken: tell of a stream that has fallen silent by this machine's clock",
    )
    group.add_argument("--checkpoint", type=writable, metavar="FILE", help="go on from here, and keep it up to date")
    group.add_argument("--every", type=_every, metavar="N", help="how often: 10s, 1000rows; default: 10s")
    group.add_argument("--save", type=writable, metavar="FILE", help="save the detector at the end, for --model")
    group.add_argument(
        "--metrics-port",
        type=port,
        metavar="PORT",
        help="serve figures for Prometheus at http://127.0.0.1:PORT/metrics",
    )
    group.add_argument(
        "--metrics-host", default="127.0.0.1", metavar="ADDRESS", help="serve them elsewhere, such as 0.0.0.0"
    )


def _add_source(command: Any) -> None:
    group = command.add_argument_group("where readings come from")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--from", dest="source", metavar="SOURCE", help="see below; - unless given")
    source.add_argument("--follow", metavar="FILE", help="a file that grows")
    group.add_argument("--format", choices=FORMATS, default="auto", help="auto tells NDJSON from CSV by the first line")
    group.add_argument("--time", metavar="FIELD", help="field of stamps; else ds, time, timestamp, date or datetime")
    group.add_argument(
        "--sensors", nargs="+", metavar="FIELD", help="sensors to watch; else those of the model, else all"
    )
    group.add_argument("--long", nargs=2, metavar=("SENSOR", "VALUE"), help="fields of a stream with one value a line")
    group.add_argument(
        "--again",
        action="store_true",
        help="standard input brings the whole stream again: skip what the checkpoint has",
    )


def _add_detector(command: Any, add_alarm: Any) -> None:
    group = command.add_argument_group("what is normal")
    known = group.add_mutually_exclusive_group()
    known.add_argument("--fit", metavar="FILE", help="learn from a CSV or Parquet file first")
    known.add_argument("--model", metavar="FILE", help="a detector that --save or ssmts.save has written")
    known.add_argument(
        "--warmup", type=count, default=WARMUP, metavar="N", help=f"learn from the first N readings; default: {WARMUP}"
    )
    group.add_argument(
        "--detector",
        choices=tuple(DETECTORS),
        default="innovation",
        help="what is fitted, the class of that name in ssmts; default: innovation, the fastest",
    )
    add_alarm(group)
    group.add_argument(
        "--new-sensors",
        choices=("report", "ignore", "adopt"),
        default="report",
        help="sensors that appear later: report them, ignore them, or fit again with them, on the last readings "
        "(as many as in a warm-up); default: report",
    )


def _add_time(command: Any) -> None:
    group = command.add_argument_group("time")
    group.add_argument(
        "--late", type=length, metavar="TIME", help="put readings in order that come up to so much late: 60s, 500ms"
    )
    group.add_argument(
        "--align",
        type=length,
        metavar="TIME",
        help="join readings of different sensors to rows whose times differ by so much",
    )


def _add_broker(command: Any) -> None:
    group = command.add_argument_group("brokers")
    group.add_argument(
        "--client-id", metavar="NAME", help="MQTT session and Kafka group; one a watch; default: by host and address"
    )
    group.add_argument("--mqtt-version", type=int, choices=(5, 3), default=5, help="5, or 3 for 3.1.1; default: 5")
    group.add_argument(
        "--kafka-option",
        type=_setting,
        action="append",
        metavar="NAME=VALUE",
        help="a setting of librdkafka; repeatable",
    )
    group.add_argument("--tls-ca", metavar="FILE", help="authorities to trust; those of the system unless given")
    group.add_argument("--tls-cert", metavar="FILE", help="certificate of this client")
    group.add_argument("--tls-key", metavar="FILE", help="and its key")


def _option(text: str) -> tuple[str, float | int | None]:
    name, _, value = text.partition("=")
    if name not in INCIDENT_RULES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(INCIDENT_RULES)}")
    try:
        return name, None if value == "none" else int(value) if value.isdigit() else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is no number") from None


def _setting(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise argparse.ArgumentTypeError("a setting is NAME=VALUE")
    return name, value


def _every(text: str) -> tuple[float | None, int | None]:
    """Seconds, or rows, after which a checkpoint is due."""
    if text.endswith("rows"):
        return None, count(text.removesuffix("rows").strip())
    seconds = length(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time above 0")
    return seconds, None
