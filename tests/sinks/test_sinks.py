"""Which sink the settings name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers import ROOT, environment
from zeropoint.errors import SettingsError, UnavailableError
from zeropoint.settings import Settings
from zeropoint.sinks import NoSink, open_sink
from zeropoint.sinks.bucket import BucketSink
from zeropoint.sinks.file import FileSink
from zeropoint.sinks.pubsub import PubsubSink


@pytest.mark.parametrize(
    ("results", "kind"),
    [
        ("file:///tmp/results", FileSink),
        ("gs://bucket", BucketSink),
        ("gs://bucket/a/prefix/", BucketSink),
        ("gs://example.com:bucket/a", BucketSink),
        ("pubsub://projects/a-project/topics/a-topic", PubsubSink),
        ("pubsub://projects/example.com:a/topics/a.b_c~d+e%f", PubsubSink),
    ],
)
def test_the_scheme_names_the_sink(results: str, kind: type) -> None:
    for service in ("", "predict"):
        sink = open_sink(Settings(results=results, service=service))
        assert type(sink) is kind
        assert sink.location in (results, results.removeprefix("file://"))


@pytest.mark.parametrize(
    "results",
    [
        *("/a", "a", "s3://bucket", "https://storage.googleapis.com/a", "FILE:///a", " file:///a"),
        *("file://relative", "file:///", "file:/a", "file:///a%00"),
        *("gs://", "gs:///a", "gs://B", "gs://a b", "gs://bucket?a=b", "gs://bucket/a\nb"),
        *("gs://ab", f"gs://bucket/{'p' * 513}", "gs://bucket/\x7f", "gs://bucket\n"),
        *("pubsub://", "pubsub://topic", "pubsub://projects/p/topics/", "pubsub://projects//topics/t"),
        *("pubsub://projects/p1/topics/t1", "pubsub://projects/p1/topics/t12/a"),
        *("pubsub://projects/p1/subscriptions/t12", "pubsub://projects/p1/topics/t12\n"),
    ],
)  # fmt: skip
def test_what_names_no_sink_is_told_with_the_three_forms(results: str) -> None:
    with pytest.raises(SettingsError) as told:
        open_sink(Settings(results=results))
    message = told.value.message
    assert message.startswith(f"ZEROPOINT_RESULTS is {results!r}: expected ")
    for form in ("file:///folder", "gs://bucket/prefix", "pubsub://projects/PROJECT/topics/TOPIC"):
        assert form in message.rpartition("It can be")[2]


def test_without_a_setting_results_go_to_a_private_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sink = open_sink(Settings())
    assert list(tmp_path.iterdir()) == []
    assert sink.put("a.json", b"data", {})
    folder = tmp_path / f"zeropoint-results-{os.geteuid()}"
    assert sink.location == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert open_sink(Settings()).get("a.json") == b"data"


def test_without_a_setting_a_service_takes_none() -> None:
    sink = open_sink(Settings(service="predict"))
    assert isinstance(sink, NoSink)
    assert not sink.owns("bucket", "a")
    for call in (lambda: sink.put("a", b"", {}), lambda: sink.get("a")):
        with pytest.raises(UnavailableError, match="ZEROPOINT_RESULTS names no sink"):
            call()


def test_no_sink_imports_a_client_before_it_is_used(tmp_path: Path) -> None:
    script = (
        "import sys; from zeropoint.settings import Settings;"
        "from zeropoint.sinks import open_sink;"
        "open_sink(Settings(results='gs://bucket'));"
        "open_sink(Settings(results='pubsub://projects/p1/topics/t12'));"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    modules = set(done.stdout.split())
    assert not {"google.cloud.storage", "google.pubsub_v1", "google.auth", "grpc"} & modules
