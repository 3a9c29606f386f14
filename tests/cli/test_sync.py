"""zeropoint sync: what waits is sent, once each, whatever happens meanwhile."""

import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from faults.calls import acknowledged, label, make_buckets, predict, push
from pubsub_server import PubsubServer
from servers import ROOT, Server, environment, free_port, zeropoint
from storage_server import StorageServer
from zeropoint.cli import sync as sync_verb
from zeropoint.sinks import deferred
from zeropoint.sinks.bucket import BucketSink
from zeropoint.sinks.deferred import DeferredSink
from zeropoint.sinks.outbox import Outbox

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

RECORDS = 30
KILLS = int(os.environ.get("ZEROPOINT_KILLS", "12"))
TOPIC = "projects/a-project/topics/results"
COLOURS = ("red", "green", "blue")


@pytest.fixture
def storage() -> Iterator[StorageServer]:
    with StorageServer() as found:
        make_buckets(found, "results")
        yield found
    gc.collect()  # Google's client leaves the sockets of failed calls to the collector


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def settings_of(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "ZEROPOINT_OUTBOX": str(tmp_path / "outbox"),
        "ZEROPOINT_RESULTS": "gs://results/out",
        "ZEROPOINT_TIMEOUT_S": "4",
        **more,
    }


def record(fingerprint: str, more: str = "") -> bytes:
    return json.dumps({"event": {"fingerprint": fingerprint}, "more": more}).encode()


def fill(outbox: Outbox, count: int, first: int = 0) -> dict[str, bytes]:
    """Keeps records, and returns them by the objects that they have to become."""
    numbers = range(first, first + count)
    found = {f"pubsub/{number}.json": record(str(number)) for number in numbers}
    for name, data in found.items():
        assert outbox.put(name, data, {"id": name})
    return {f"out/{name}": data for name, data in found.items()}


def sync(tmp_path: Path, storage: StorageServer | None, *arguments: str) -> tuple[int, str, str]:
    where = storage.url if storage else f"http://127.0.0.1:{free_port()}"
    settings = settings_of(tmp_path, STORAGE_EMULATOR_HOST=where)
    done = zeropoint(tmp_path, "sync", *arguments, settings=settings)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_what_waits_is_sent_the_oldest_first(
    storage: StorageServer, outbox: Outbox, tmp_path: Path
) -> None:
    assert sync(tmp_path, storage) == (0, f"nothing waits in {outbox.location}", "")
    assert not (tmp_path / "outbox").exists()
    expected = fill(outbox, RECORDS)
    assert sync(tmp_path, storage) == (0, f"{RECORDS} sent, 0 still waiting", "")
    assert storage.objects("results") == expected
    uploaded = [path for method, path in storage.requests if method == "POST" and "/o" in path]
    assert len(uploaded) == RECORDS
    assert list(storage.objects("results")) == list(expected)  # in the order they came
    assert sync(tmp_path, storage, "--json") == (
        0,
        '{"sent": 0, "repeated": 0, "refused": 0, "waiting": 0, "errors": 0}',
        "",
    )


def test_while_the_sink_is_away_all_waits(outbox: Outbox, tmp_path: Path) -> None:
    fill(outbox, 3)
    status, told, problem = sync(tmp_path, None)
    assert (status, told) == (1, "0 sent, 3 still waiting")
    assert problem.startswith("zeropoint: gs://results/out/pubsub/0.json: ")
    assert len(outbox.waiting()) == 3


def test_a_sink_that_goes_away_meanwhile_has_what_was_sent(
    storage: StorageServer, outbox: Outbox, tmp_path: Path
) -> None:
    expected = fill(outbox, 5)
    storage.put("results", "out/pubsub/3.json", record("3", "of the first delivery"))
    storage.fail_next("GET /download", 503, count=99)  # when it is asked whose the fourth is
    assert sync(tmp_path, storage)[:2] == (1, "3 sent, 2 still waiting")
    storage.mend()
    assert sync(tmp_path, storage)[:2] == (0, "1 sent, 1 there already, 0 still waiting")
    found = storage.objects("results")
    assert found.keys() == expected.keys()
    assert found["out/pubsub/3.json"] == record("3", "of the first delivery")


def test_one_that_is_not_taken_now_keeps_no_other_from_it(
    storage: StorageServer, outbox: Outbox, tmp_path: Path
) -> None:
    fill(outbox, 5)
    storage.fail_next("POST /upload", 403)
    status, told, problem = sync(tmp_path, storage)
    assert (status, told) == (1, "4 sent, 1 still waiting")
    assert problem.startswith("zeropoint: gs://results/out/pubsub/0.json: Forbidden: ")


def test_a_sink_that_refuses_everything_is_not_asked_for_each(
    storage: StorageServer, outbox: Outbox, tmp_path: Path
) -> None:
    fill(outbox, RECORDS)
    storage.fail_next("POST /upload", 403, count=999)
    before = len(storage.requests)
    assert sync(tmp_path, storage)[:2] == (1, f"0 sent, {RECORDS} still waiting")
    assert len(storage.requests) == before + 10


def test_what_is_refused_for_ever_is_put_aside_and_told(
    storage: StorageServer, outbox: Outbox, tmp_path: Path
) -> None:
    expected = fill(outbox, 4)
    storage.put("results", "out/pubsub/1.json", record("of another event"))
    (tmp_path / "outbox" / "waiting" / outbox.waiting()[2]).write_bytes(b"damaged")
    storage.fail_next("POST /upload", 400)
    status, told, problem = sync(tmp_path, storage)
    assert status == 1
    assert told == f"1 sent, 0 still waiting, 3 refused, in {outbox.location}/errors"
    lines = problem.splitlines()
    assert len(lines) == 3
    for line, said in zip(lines, ("pubsub/0.json: ", "pubsub/1.json: ", ".json: "), strict=True):
        assert line.startswith(f"refused, and put into {outbox.location}/errors: ")
        assert said in line
    assert storage.objects("results")["out/pubsub/3.json"] == expected["out/pubsub/3.json"]
    assert outbox.get("pubsub/1.json") == expected["out/pubsub/1.json"]
    assert sync(tmp_path, storage)[0] == 0
    # What is put back is sent again, as after a setting was mended.
    for path in (tmp_path / "outbox" / "errors").iterdir():
        path.rename(tmp_path / "outbox" / "waiting" / path.name)
    assert sync(tmp_path, storage)[1].startswith("1 sent, 0 still waiting, 2 refused")
    assert storage.objects("results")["out/pubsub/0.json"] == expected["out/pubsub/0.json"]


def test_a_topic_gets_what_waits_but_for_what_is_too_large(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put("large.json", b'"%s"' % (b"x" * 10_000_000), {})
    outbox.put("a.json", record("a"), {"id": "7"})
    outbox.put("b.json", record("b"), {})
    with PubsubServer(TOPIC) as broker:
        settings = settings_of(
            tmp_path,
            PUBSUB_EMULATOR_HOST=broker.address,
            ZEROPOINT_RESULTS=f"pubsub://{TOPIC}",
        )
        broker.fail_next(grpc.StatusCode.UNAVAILABLE, kept=True)  # so that it gets that twice
        done = zeropoint(tmp_path, "sync", settings=settings)
    assert done.returncode == 1
    assert done.stdout.startswith("2 sent, 0 still waiting, 1 refused, in ")
    assert "errors: large.json: " in done.stderr
    assert "expected a record of at most 10000000 bytes" in done.stderr
    told = [(message.data, message.attributes) for message in broker.messages]
    first = (record("a"), {"id": "7", "name": "a.json"})
    assert told == [first, first, (record("b"), {"name": "b.json"})]


def test_two_at_once_are_one(storage: StorageServer, outbox: Outbox, tmp_path: Path) -> None:
    fill(outbox, 1)
    with outbox.alone():
        status, told, problem = sync(tmp_path, storage)
        assert (status, told) == (1, "")
        assert "another zeropoint sync sends" in problem
    assert sync(tmp_path, storage)[0] == 0


def test_without_an_outbox_there_is_nothing_to_send(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "sync", settings={"ZEROPOINT_RESULTS": "gs://results"})
    assert done.returncode == 1
    assert done.stderr.startswith("zeropoint: ZEROPOINT_OUTBOX: expected the absolute path")


# Several runs of the verb in one process that forks, so that a run costs no imports.
SYNC = """
import os, sys
from google.cloud.storage import Client
from google.cloud.storage import retry
from zeropoint.cli import sync
print("ready", flush=True)
for line in sys.stdin:
    if not (child := os.fork()):
        sync.command([])
    print(child, flush=True)
    sys.stdin.readline()
    os.waitpid(child, 0)
    print("over", flush=True)
"""


def test_killed_at_any_moment_nothing_is_lost_or_written_twice(
    storage: StorageServer, outbox: Outbox, tmp_path: Path
) -> None:
    """Each sent record is one object, whether its sending was heard of or not."""
    expected: dict[str, bytes] = {}
    chance = random.Random(5)  # noqa: S311 - the same moments at each run
    storage.stumble(0.02, seed=5)
    settings = settings_of(
        tmp_path, STORAGE_EMULATOR_HOST=storage.url, PYTHONPATH=str(ROOT / "function")
    )
    in_between = 0
    with subprocess.Popen(
        [sys.executable, "-c", SYNC],
        env=environment(tmp_path, settings, measured=False),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        for turn in range(KILLS):
            expected |= fill(outbox, RECORDS, turn * RECORDS)
            process.stdin.write("begin\n")
            child = int(process.stdout.readline())
            time.sleep(chance.uniform(0.0, 0.15))
            os.kill(child, signal.SIGKILL)  # nobody has waited for it, so it is ours still
            process.stdin.write("wait\n")
            while process.stdout.readline() != "over\n":
                pass  # what it had to say, where it came to its end
            in_between += 0 < len(outbox.waiting()) < len(expected)
            _check(storage, outbox, expected)
        process.stdin.close()
    assert in_between
    storage.stumble(0.0)
    assert sync(tmp_path, storage)[0] == 0
    assert storage.objects("results") == expected
    assert outbox.waiting() == []
    assert set(storage.writes.values()) == {1}


def _check(storage: StorageServer, outbox: Outbox, expected: dict[str, bytes]) -> None:
    sent = storage.objects("results")
    assert sent.items() <= expected.items()
    for name, data in expected.items():
        assert name in sent or outbox.get(name.removeprefix("out/")) == data


def test_what_comes_in_while_it_is_sent_is_sent_once(
    storage: StorageServer, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event is delivered twice, the storage stumbles, and sync runs all the while."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
    monkeypatch.setattr(deferred, "_PAUSE_S", 0.01)
    storage.stumble(0.2, seed=9)
    sink = DeferredSink(BucketSink("gs://results/out", 0.1), outbox)
    patient = BucketSink("gs://results/out")
    names = [f"pubsub/{number}.json" for number in range(100)]

    def deliver(turn: int, name: str) -> None:
        if sink.get(name) is None:
            sink.put(name, record(name, f"turn {turn}"), {})

    with ThreadPoolExecutor(4) as pool:
        delivered = [pool.submit(deliver, turn, name) for turn in range(2) for name in names]
        sent: Counter[str] = Counter()
        while not all(each.done() for each in delivered):
            sent += sync_verb._send(patient, outbox)[0]
        for each in delivered:
            each.result()
    storage.stumble(0.0)
    counts, problem = sync_verb._send(patient, outbox)
    assert (problem, counts["refused"], outbox.waiting(), outbox.refused()) == ("", 0, [], 0)
    assert (sent + counts).total()  # of those that the storage could not take at first
    assert storage.objects("results").keys() == {f"out/{name}" for name in names}
    assert set(storage.writes.values()) == {1}


def test_events_are_acknowledged_while_the_sink_is_away_and_sent_once_later(
    storage: StorageServer, outbox: Outbox, colour_repository: Path, tmp_path: Path
) -> None:
    """As on a device: a network that says nothing, redeliveries, a restart, then a network."""
    settings = settings_of(
        tmp_path, STORAGE_EMULATOR_HOST=storage.url, ZEROPOINT_MODELS=str(colour_repository)
    )
    acknowledgements = 0
    storage.stall(60.0)
    for outcome in ("written", "repeated"):  # by a second process
        with Server(settings) as server:
            server.wait_until_ready()
            for number, colour in enumerate(COLOURS):
                began_s = time.monotonic()
                acknowledged(push(server.url, f"m-{number}", colour), outcome)
                acknowledged(push(server.url, f"m-{number}", colour), "repeated")
                acknowledgements += 2
                if number:
                    assert time.monotonic() - began_s < 2  # two of the first call's patience
            predict(server.url, "blue")
            told = [one for one in server.records() if "sink is away" in one["message"]]
            assert len(told) == (1 if outcome == "written" else 0)
    assert acknowledgements == 12
    assert len(outbox.waiting()) == 3
    storage.stall(0.0)
    with Server(settings) as server:
        server.wait_until_ready()
        acknowledged(push(server.url, "m-0", "red"), "repeated")
        assert sync(tmp_path, storage)[:2] == (0, "3 sent, 0 still waiting")
        acknowledged(push(server.url, "m-0", "red"), "repeated")
        acknowledged(push(server.url, "m-3", "red"), "written")
    found = storage.objects("results")
    assert sorted(found) == [f"out/pubsub/m-{number}.json" for number in range(4)]
    labels = [label(found[f"out/pubsub/m-{number}.json"]) for number in range(3)]
    assert labels == list(COLOURS)
    assert set(storage.writes.values()) == {1}
