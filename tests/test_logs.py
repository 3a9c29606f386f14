"""The log: one line of JSON a record, whatever is in it, and the same in Cloud Logging."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from google.auth.credentials import AnonymousCredentials
from hypothesis import given, settings, strategies

from servers import ROOT, environment
from zeropoint import cloud_logs
from zeropoint.cloud_logs import CloudHandler
from zeropoint.logs import JsonFormatter, follow, log, setup, wordless
from zeropoint.settings import Settings

TRACE = "0123456789abcdef" * 2
SPAN = "00f067aa0ba902b7"
DIAGNOSTIC = "logging.googleapis.com/diagnostic"  # what the client tells of itself, once
KEY = "logging.googleapis.com/"
ON_RUN = Settings(project="p", service="s", revision="s-1")
ANY_TEXT = strategies.text(strategies.characters())  # half surrogate pairs too

HOSTILE = [
    'x\n{"severity": "CRITICAL", "message": "forged"}',
    '"}\r\n{"severity": "CRITICAL"}\r',
    "\x1b[2J\x1b[31mred\x07\b\x7f",
    "a\0b",
    "a\u2028b\u2029c\x85d\x0be\x0cf",
    "\ud800 half a pair \udfff",
    "😀 \U0010ffff \ufffe",
    "%s %d %(name)s {0}",
    "x" * 1_000_000,
    "",
]


class LoggingServer(ThreadingHTTPServer):
    """Cloud Logging as far as writing goes: keeps the entries that clients write."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.entries: list[dict[str, Any]] = []
        self.status = 200
        self.calls = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def messages(self) -> list[str]:
        """Returns the messages of the entries."""
        return [
            entry["jsonPayload"]["message"] if "jsonPayload" in entry else entry["textPayload"]
            for entry in self.entries
        ]


class _Handler(BaseHTTPRequestHandler):
    server: LoggingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path.startswith("/v2/entries:write")
        self.server.calls += 1
        if self.server.status == 200:
            told = [entry for entry in body["entries"] if DIAGNOSTIC not in str(entry)]
            self.server.entries += told
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = (log.handlers[:], log.propagate, log.level)
    log.handlers.clear()
    yield
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()
    log.handlers[:], log.propagate, log.level = before
    follow("", "")


@pytest.fixture
def cloud() -> Iterator[LoggingServer]:
    with LoggingServer() as running:
        yield running


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    *whole, rest = capsys.readouterr().out.split("\n")
    assert rest == ""
    return [json.loads(line) for line in whole]


def line(message: str, chosen: Settings | None = None, **extra: Any) -> dict[str, Any]:
    """Returns a record as it stands in the log, read again."""
    record = logging.LogRecord("zeropoint", logging.INFO, __file__, 1, message, (), None)
    record.__dict__.update(extra)
    text = JsonFormatter(chosen or Settings()).format(record)
    assert "\n" not in text
    assert "\r" not in text
    found: dict[str, Any] = json.loads(text.encode())
    return found


def build(server: LoggingServer) -> Callable[[], logging.Handler]:
    """Returns what `attach` has `CloudHandler` build, but for the address and the identity."""
    return partial(
        cloud_logs.google_handler,
        project="p",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": server.url},
    )


def add(build: Callable[[], logging.Handler], chosen: Settings = ON_RUN) -> CloudHandler:
    setup(chosen)
    handler = CloudHandler(chosen, build)
    log.addHandler(handler)
    return handler


# A line


@pytest.mark.parametrize("message", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_message_is_one_record(capsys: pytest.CaptureFixture[str], message: str) -> None:
    setup(Settings())
    log.warning("%s", message)
    log.warning(message)
    for told in lines(capsys):
        assert told.keys() == {"severity", "message", "time"}
        assert told["severity"] == "WARNING"
        assert told["message"] == message.encode("utf-8", "backslashreplace").decode()


@settings(max_examples=100, deadline=None, database=None)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_is_one_record(message: str, key: str, value: str) -> None:
    told = line(message, fields={"more": {key: [value]}})
    if all(text.isprintable() for text in (message, key, value)):
        assert told["message"] == message
        assert told["more"] == {key: [value]}


@pytest.mark.parametrize("severity", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_severity_and_time_are_cloud_loggings(
    capsys: pytest.CaptureFixture[str], severity: str
) -> None:
    began = datetime.now(UTC)
    setup(Settings())
    log.log(getattr(logging, severity), "said")
    told = lines(capsys)
    if severity == "DEBUG":
        assert told == []
        return
    assert told[0]["severity"] == severity
    when = datetime.fromisoformat(told[0]["time"])
    assert when.utcoffset() is not None
    assert abs((when - began).total_seconds()) < 30


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True]}, {"a": [1, 2.5, None, True]}),
        (float("nan"), None),
        ((1, "b"), [1, "b"]),
        (object, "<class 'object'>"),
        ([object, {1: object}], ["<class 'object'>", {"1": "<class 'object'>"}]),
        ({"\ud800": "\ud800"}, {"\\ud800": "\\ud800"}),
        (10**30, 10**30),
    ],
)
def test_fields_stand_in_the_record(value: object, expected: object) -> None:
    told = line("said", fields={"field": value, "model": "m"})
    assert (told["message"], told["field"], told["model"]) == ("said", expected, "m")


def test_an_exception_brings_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    setup(Settings())
    try:
        raise ValueError('x\n{"severity": "forged"}\ud800')
    except ValueError:
        log.exception("failed")
    (told,) = lines(capsys)
    assert (told["severity"], told["message"]) == ("ERROR", "failed")
    assert told["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert 'ValueError: x\n{"severity": "forged"}\\ud800' in told["stack_trace"]


def test_labels_name_the_service_and_its_revision() -> None:
    assert line("x", ON_RUN)[f"{KEY}labels"] == {"service": "s", "revision": "s-1"}
    assert line("x", Settings(service="s"))[f"{KEY}labels"] == {"service": "s"}
    assert f"{KEY}labels" not in line("x")


def test_a_second_setup_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    handler = add(logging.NullHandler)
    log.info("to both")
    setup(Settings(service="second"))
    log.info("once")
    first, second = lines(capsys)
    assert first[f"{KEY}labels"]["service"] == "s"
    assert second[f"{KEY}labels"] == {"service": "second"}
    assert handler._thread is not None
    handler._thread.join(10)
    assert not handler._thread.is_alive()


# Its trace


@pytest.mark.parametrize(
    ("traceparent", "cloud_trace", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", "", (SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", "", (SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", "", (SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01", f"{'f' * 32}/1;o=0", (SPAN, True)),
        ("", f"{TRACE}/1;o=1", ("0000000000000001", True)),
        ("", f"{TRACE}/18446744073709551615;o=0", ("f" * 16, False)),
        ("", f"{TRACE}/255", ("00000000000000ff", False)),
        ("", f"{TRACE.upper()}/10;o=1", ("000000000000000a", True)),
        ("nonsense", f"{TRACE}/1;o=1", ("0000000000000001", True)),
    ],
)
def test_a_requests_trace_is_followed(
    traceparent: str, cloud_trace: str, expected: tuple[str, bool]
) -> None:
    follow(traceparent, cloud_trace)
    told = line("x", Settings(project="p"))
    assert told[f"{KEY}trace"] == f"projects/p/traces/{TRACE}"
    assert (told[f"{KEY}spanId"], told[f"{KEY}trace_sampled"]) == expected
    assert line("x")[f"{KEY}trace"] == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        TRACE[1:],
        f"{TRACE}0",
        f"{TRACE}/x;o=1",
        f"{TRACE}/-1",
        f"{TRACE}/1;o=1\n",
        f"{TRACE}/{'1' * 21}",
        f"{TRACE}/\u00b2",
        f"00-{TRACE.upper()}-{SPAN}-01",  # upper case is not a traceparent
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        f'00-{TRACE}-{SPAN}-01"}}\n{{"severity": "forged"}}',
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"{'0' * 32}/1;o=1",
        "\0",
        "é" * 55,
        "-" * 100_000,
        "0" * 100_000,
    ],
    ids=lambda header: repr(header)[:40],
)
def test_another_header_names_no_trace(header: str) -> None:
    follow(f"00-{TRACE}-{SPAN}-01", "")
    follow(header, header)
    assert not {f"{KEY}trace", f"{KEY}spanId", f"{KEY}trace_sampled"} & line("x").keys()


@pytest.mark.parametrize("cloud_trace", [TRACE, f"{TRACE};o=1", f"{TRACE}/0"])
def test_a_trace_without_a_span_names_none(cloud_trace: str) -> None:
    follow("", cloud_trace)
    told = line("x")
    assert told[f"{KEY}trace"] == TRACE
    assert f"{KEY}spanId" not in told


@settings(max_examples=100, deadline=None, database=None)
@given(ANY_TEXT, ANY_TEXT)
def test_any_headers_can_be_followed(traceparent: str, cloud_trace: str) -> None:
    follow(traceparent, cloud_trace)
    line("x")


def test_a_trace_belongs_to_its_thread() -> None:
    together = threading.Barrier(4)
    told: dict[str, str] = {}

    def serve(span: str) -> None:
        follow(f"00-{TRACE}-{span}-01", "")
        together.wait(10)
        told[span] = line("x")[f"{KEY}spanId"]

    spans = [digit * 16 for digit in "1234"]
    threads = [threading.Thread(target=serve, args=(span,)) for span in spans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert told == {span: span for span in spans}
    assert f"{KEY}spanId" not in line("x")


# In the cloud


def test_google_cloud_logging_gets_what_stdout_gets(
    cloud: LoggingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = add(build(cloud))
    follow(f"00-{TRACE}-{SPAN}-01", "")
    log.warning("said %s", "this", extra={"fields": {"model": "m", "odd": object}})
    follow("", "")
    log.info("plain")
    handler.flush()
    first, second = cloud.entries
    told, _ = lines(capsys)
    assert (first["severity"], told["severity"]) == (400, "WARNING")  # the same, by its number
    odd = {"model": "m", "odd": "<class 'object'>"}
    assert first["jsonPayload"] == {"message": told["message"], **odd} == told_fields(told)
    assert first["trace"] == told[f"{KEY}trace"] == f"projects/p/traces/{TRACE}"
    assert first["spanId"] == told[f"{KEY}spanId"] == SPAN
    assert first["traceSampled"] is True
    assert first["labels"].items() >= told[f"{KEY}labels"].items()
    assert first["resource"] == {"type": "global", "labels": {"project_id": "p"}}
    sent, written = (datetime.fromisoformat(at) for at in (first["timestamp"], told["time"]))
    assert sent == written
    assert second["severity"] == 200
    assert second["textPayload"] == "plain"
    assert "trace" not in second


def told_fields(told: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in told.items()
        if key not in ("severity", "time") and not key.startswith(KEY)
    }


def test_hostile_messages_reach_the_cloud_whole(cloud: LoggingServer) -> None:
    handler = add(build(cloud))
    messages = [message for message in HOSTILE if message]
    for message in messages:
        log.warning("%s", message)
    handler.flush()
    plain = [message.encode("utf-8", "backslashreplace").decode() for message in messages]
    assert cloud.messages() == plain


def test_an_exception_reaches_the_cloud_with_its_trace(cloud: LoggingServer) -> None:
    handler = add(build(cloud))
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("failed")
    handler.flush()
    (message,) = cloud.messages()
    assert message.startswith("failed\nTraceback (most recent call last):\n")
    assert message.endswith("ZeroDivisionError: division by zero")


def test_records_keep_their_order(cloud: LoggingServer) -> None:
    handler = add(build(cloud))
    for number in range(50):
        log.info("%d", number)
    handler.flush()
    assert cloud.messages() == [str(number) for number in range(50)]


def test_a_handler_that_cannot_be_built_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cloud_logs, "_FLUSH_S", 20.0)

    def fail() -> logging.Handler:
        time.sleep(0.05)
        raise OSError("no identity")

    handler = add(fail)
    began_s = time.monotonic()
    for number in range(3):
        log.info("%d", number)
    handler.flush()
    assert time.monotonic() - began_s < 10  # nobody waits for what will never be sent
    log.info("still there")
    told = lines(capsys)
    assert [one["message"] for one in told if one["severity"] == "INFO"] == [
        *("0", "1", "2"),
        "still there",
    ]
    (problem,) = [one for one in told if one["severity"] == "ERROR"]
    assert problem["message"].endswith("the log is on stdout only")
    assert "OSError: no identity" in problem["stack_trace"]
    assert handler not in log.handlers


def test_a_cloud_that_refuses_is_told_once_until_it_takes_records_again(
    cloud: LoggingServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cloud_logs, "_PAUSE_S", 0.0)
    handler = add(build(cloud))
    for status, message in ((403, "a"), (403, "b"), (200, "c"), (403, "d"), (200, "e")):
        cloud.status = status
        log.info(message)
        handler.flush()
    assert cloud.messages() == ["c", "e"]
    problems = [one for one in lines(capsys) if one["severity"] == "ERROR"]
    assert len(problems) == 2
    assert all("Forbidden" in problem["stack_trace"] for problem in problems)


def test_while_the_cloud_is_away_nothing_is_queued(
    cloud: LoggingServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.status = 503
    asked = threading.Event()
    built = build(cloud)

    def late() -> logging.Handler:
        asked.wait(30)
        return built()

    handler = add(late)
    for number in range(100):
        log.info("%d", number)
    asked.set()
    handler.flush()
    assert cloud.calls == 1  # those behind the first were dropped
    cloud.status = 200
    for number in range(100, 200):
        log.info("%d", number)
    assert (handler._records.qsize(), handler._records.unfinished_tasks) == (0, 0)
    assert cloud.messages() == []
    monkeypatch.setattr(handler, "_next_try_s", 0.0)  # as after a while
    log.info("back")
    handler.flush()
    assert cloud.messages() == ["back"]
    told = lines(capsys)
    assert len([one for one in told if one["severity"] == "INFO"]) == 201
    assert len([one for one in told if one["severity"] == "ERROR"]) == 1


def test_a_record_that_the_cloud_does_not_take_is_the_only_one(cloud: LoggingServer) -> None:
    """One that is too large, say."""
    handler = add(build(cloud))
    for status, message in ((400, "a"), (200, "b")):
        cloud.status = status
        log.info(message)
        handler.flush()
    assert cloud.messages() == ["b"]


def test_a_cloud_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client itself would wait for a minute; the end of a process waits for neither."""
    monkeypatch.setattr(cloud_logs, "_TIMEOUT_S", 0.2)
    monkeypatch.setattr(cloud_logs, "_FLUSH_S", 30.0)
    monkeypatch.setattr(cloud_logs, "_FLUSH_AWAY_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        handler = add(
            partial(
                cloud_logs.google_handler,
                project="p",
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
                client_options={"api_endpoint": url},
            )
        )
        began_s = time.monotonic()
        log.info("a")
        handler.flush()
        assert time.monotonic() - began_s < 25
        monkeypatch.setattr(cloud_logs, "_TIMEOUT_S", 20.0)
        monkeypatch.setattr(handler, "_next_try_s", 0.0)
        log.info("b")
        began_s = time.monotonic()
        log.removeHandler(handler)
        handler.close()
        assert time.monotonic() - began_s < 10
    problems = [one for one in lines(capsys) if one["severity"] == "ERROR"]
    assert "Timeout" in problems[0]["stack_trace"]
    assert handler._thread
    handler._thread.join(20)


def test_a_full_queue_drops_records_and_never_waits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cloud_logs, "_QUEUED_RECORDS", 3)
    slow = threading.Event()
    got: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            got.append(record.getMessage())

    def build() -> logging.Handler:
        slow.wait(30)
        return Keeper()

    handler = add(build)
    began_s = time.monotonic()
    for number in range(100):
        log.info("%d", number)
    assert time.monotonic() - began_s < 5
    slow.set()
    handler.flush()
    assert got == ["0", "1", "2"]
    assert len(lines(capsys)) == 100


def test_a_flush_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_logs, "_FLUSH_S", 0.05)
    slow = threading.Event()

    def build() -> logging.Handler:
        slow.wait(30)
        return logging.NullHandler()

    handler = add(build)
    log.info("x")
    began_s = time.monotonic()
    handler.flush()
    assert time.monotonic() - began_s < 5
    slow.set()


def test_a_message_that_does_not_fit_its_arguments_harms_nobody(
    cloud: LoggingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = add(build(cloud))
    log.info("%d", "x")
    log.info("next")
    handler.flush()
    assert cloud.messages() == ["next"]
    assert "Logging error" in capsys.readouterr().err


# In processes of their own

SCRIPT = """
import os, sys, time
from functools import partial
from zeropoint import cloud_logs, logs, settings

def attached():
    logs.setup(settings.from_environment())
    cloud_logs.attach(settings.from_environment())

def add(url, wait_s=0.0):
    def build():
        from google.auth.credentials import AnonymousCredentials
        time.sleep(wait_s)
        return cloud_logs.google_handler(
            project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
        )
    logs.setup(settings.from_environment())
    logs.log.addHandler(cloud_logs.CloudHandler(settings.from_environment(), build))
"""


def run(script: str, home: Path, variables: dict[str, str] | None = None) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT + script],
        env=environment(home, {"PYTHONPATH": str(ROOT / "function"), **(variables or {})}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize(
    "script", ["logs.setup(settings.from_environment()); logs.log.info('x')", "attached()"]
)
def test_the_client_is_not_imported_before_a_record_is_for_it(tmp_path: Path, script: str) -> None:
    said = run(script + "; print(*sys.modules)", tmp_path)
    assert not {"google.cloud.logging", "google.api_core", "grpc", "requests"} & set(said.split())


def test_without_an_identity_the_log_stays_on_stdout_and_the_process_ends(tmp_path: Path) -> None:
    variables = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "absent.json"),
    }
    script = """
cloud_logs._FLUSH_S = 60
attached()
logs.log.info("first")
logs.log.info("next")
"""
    told = [json.loads(text) for text in run(script, tmp_path, variables).splitlines()]
    assert [one["message"] for one in told][:2] == ["first", "next"]
    assert [one["severity"] for one in told] == ["INFO", "INFO", "ERROR"]
    assert "DefaultCredentialsError" in told[2]["stack_trace"]


def test_the_last_words_of_a_process_are_delivered(cloud: LoggingServer, tmp_path: Path) -> None:
    run(f"add({cloud.url!r}); logs.log.info('last words')", tmp_path)
    assert cloud.messages() == ["last words"]


def test_a_cloud_that_refuses_keeps_no_process_from_its_end(
    cloud: LoggingServer, tmp_path: Path
) -> None:
    cloud.status = 403
    said = run(
        f"cloud_logs._FLUSH_S = 60; add({cloud.url!r}); logs.log.info('last words')", tmp_path
    )
    told = [json.loads(text) for text in said.splitlines()]
    assert [one["severity"] for one in told] == ["INFO", "ERROR"]


@pytest.mark.parametrize("wait_s", [0.0, 0.5])
def test_the_log_works_on_both_sides_of_a_fork(
    cloud: LoggingServer, tmp_path: Path, wait_s: float
) -> None:
    script = f"""
import warnings
warnings.simplefilter("ignore")  # newer Pythons dislike a fork beside threads
add({cloud.url!r}, {wait_s})
logs.log.info("before")
if child := os.fork():
    logs.log.info("parent")
    assert os.waitpid(child, 0)[1] == 0
else:
    logs.log.info("child")
"""
    said = run(script, tmp_path)
    assert sorted(cloud.messages()) == ["before", "child", "parent"]
    told = sorted(json.loads(text)["message"] for text in said.splitlines())
    assert told == ["before", "child", "parent"]


def test_a_child_that_logs_nothing_ends(cloud: LoggingServer, tmp_path: Path) -> None:
    script = f"""
import warnings
warnings.simplefilter("ignore")
add({cloud.url!r})
logs.log.info("before")
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
"""
    run(script, tmp_path)
    assert cloud.messages() == ["before"]


def test_a_wordless_error_tells_its_name_place_and_causes() -> None:
    def fail() -> None:
        try:
            raise KeyError("secret")
        except KeyError as error:
            raise OSError("secret") from error

    try:
        fail()
    except OSError as error:
        told = "".join(traceback.format_exception(wordless(error)))
    assert "secret" not in told.replace('Error("secret")', "")  # but in the lines of the code
    assert "in fail\n" in told
    assert told.index("\nKeyError\n") < told.index("direct cause") < told.index("\nOSError\n")
