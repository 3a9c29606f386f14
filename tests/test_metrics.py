"""The counts are those of what happened, in Prometheus' own format."""

import re
import threading

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from servers import Server
from tiny_models import picture
from zeropoint.metrics import BOUNDS_S, Metrics


def scrape(text: bytes | str) -> dict[str, float]:
    """Returns each sample by its name and labels, as Prometheus' own parser reads it."""
    text = text.decode() if isinstance(text, bytes) else text
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_histogram_counts_at_or_below_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[1], 99.0):
        metrics.predicted("m", 1, {"execute": seconds})
    found = scrape(metrics.text())
    name = "zeropoint_step_seconds"
    assert found[f"{name}_bucket['{BOUNDS_S[0]}', 'execute', 'm']"] == 2
    assert found[f"{name}_bucket['{BOUNDS_S[1]}', 'execute', 'm']"] == 3
    assert found[f"{name}_bucket['+Inf', 'execute', 'm']"] == 4
    assert found[f"{name}_count['execute', 'm']"] == 4
    assert found[f"{name}_sum['execute', 'm']"] == pytest.approx(99.0 + BOUNDS_S[0] + BOUNDS_S[1])


def test_nothing_is_lost_between_threads() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.began()
            metrics.predicted("m", 2, {"execute": 0.1})
            metrics.ended("/predict", 200)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = scrape(metrics.text())
    assert found["zeropoint_requests_total['/predict', '200']"] == 4000
    assert found["zeropoint_predictions_total['m']"] == 8000
    assert found["zeropoint_requests_in_flight[]"] == 0


def test_a_server_tells_what_it_did(colour_server: Server) -> None:
    def counted() -> dict[str, float]:
        response = requests.get(colour_server.url + "/metrics", timeout=10)
        assert response.headers["content-type"].startswith("text/plain; version=")
        return scrape(response.text)

    before = counted()
    for _ in range(3):
        requests.post(colour_server.url + "/predict", data=picture("red"), timeout=10)
    requests.post(colour_server.url + "/predict/x" + "y" * 99, data=b"x", timeout=10)
    after = counted()

    def grew(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert grew("zeropoint_requests_total['/predict', '200']") == 3
    assert grew("zeropoint_requests_total['/predict/<model>', '404']") == 1
    assert grew("zeropoint_refusals_total['model_not_found']") == 1
    assert grew("zeropoint_predictions_total['colour']") == 3
    assert grew("zeropoint_step_seconds_count['colour', 'execute']") == 3
    assert after["zeropoint_loads_total['colour', 'ready']"] == 1
    assert after["zeropoint_cold_start_seconds['total']"] > 0
    assert after["zeropoint_requests_in_flight[]"] == 1  # the scrape itself


def test_labels_are_bounded_whatever_is_asked_for(colour_server: Server) -> None:
    for number in range(20):
        requests.get(f"{colour_server.url}/random/{number}", timeout=10)
        requests.get(f"{colour_server.url}/models/random{number}", timeout=10)
    text = requests.get(colour_server.url + "/metrics", timeout=10).text
    assert not re.search(r"random", text)
