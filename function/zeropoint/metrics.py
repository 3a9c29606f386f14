"""What is counted: plain numbers while requests are answered, Prometheus text when asked for.

prometheus-client is imported at the first scrape, so that nobody who does not scrape pays for it.
"""

import bisect
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from zeropoint.errors import SettingsError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

# Bounds of the histograms, in seconds: from a tabular model's step to a slow cold start.
BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counts(NamedTuple):
    """What a model has done since it was loaded, and how many texts it writes now."""

    passes: int
    rows: int  # of all passes
    prompt_tokens: int = 0
    completion_tokens: int = 0
    texts: int = 0


class Busy(NamedTuple):
    """What a model in memory is at."""

    model: str
    size_bytes: int
    requests: int  # answered and waiting
    counts: Counts


class _Histogram:
    """Counts of durations at or below each bound, the last without one, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Returns each bound with the count at or below it, as Prometheus has them."""
        total, found = 0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._refusals: Counter[str] = Counter()
        self._predictions: Counter[str] = Counter()
        self._loads: Counter[tuple[str, str]] = Counter()
        self._steps: defaultdict[tuple[str, str], _Histogram] = defaultdict(_Histogram)
        self._cold_start_s: dict[str, float] = {}
        self._in_flight = 0
        self._evictions = 0
        self.watch: Callable[[], Iterable[Busy]] = tuple  # the models in memory

    def began(self) -> None:
        """Counts a request that is being answered."""
        with self._lock:
            self._in_flight += 1

    def ended(self, route: str, status: int) -> None:
        """Counts a request that was answered."""
        with self._lock:
            self._in_flight -= 1
            self._requests[route, str(status)] += 1

    def refused(self, code: str) -> None:
        """Counts a refusal."""
        with self._lock:
            self._refusals[code] += 1

    def predicted(self, model: str, count: int, steps_s: Mapping[str, float]) -> None:
        """Counts predictions, and how long the steps of their request took."""
        with self._lock:
            self._predictions[model] += count
            for step, seconds in steps_s.items():
                self._steps[model, step].add(seconds)

    def loaded(self, model: str, result: str) -> None:
        """Counts a load of a model: ``ready`` or ``failed``."""
        with self._lock:
            self._loads[model, result] += 1

    def evicted(self) -> None:
        """Counts a model that left the memory for another."""
        with self._lock:
            self._evictions += 1

    def started(self, phases_s: Mapping[str, float]) -> None:
        """Keeps the phases of the process's cold start."""
        with self._lock:
            self._cold_start_s = dict(phases_s)

    def collect(self) -> "Iterator[Metric]":
        """Yields the counts as prometheus-client wants them."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        with self._lock:
            requests = CounterMetricFamily(
                "zeropoint_requests", "Requests by route and status", labels=["route", "status"]
            )
            for labels, count in self._requests.items():
                requests.add_metric(labels, count)
            refusals = CounterMetricFamily("zeropoint_refusals", "By code", labels=["code"])
            for code, count in self._refusals.items():
                refusals.add_metric([code], count)
            predictions = CounterMetricFamily(
                "zeropoint_predictions", "Instances answered", labels=["model"]
            )
            for model, count in self._predictions.items():
                predictions.add_metric([model], count)
            loads = CounterMetricFamily(
                "zeropoint_loads", "Loads of a model by result", labels=["model", "result"]
            )
            for labels, count in self._loads.items():
                loads.add_metric(labels, count)
            steps = HistogramMetricFamily(
                "zeropoint_step_seconds", "Steps of an answer", labels=["model", "step"]
            )
            for labels, histogram in self._steps.items():
                steps.add_metric(labels, histogram.buckets(), histogram.sum_s)
            cold = GaugeMetricFamily(
                "zeropoint_cold_start_seconds", "Phases of this process's start", labels=["phase"]
            )
            for phase, seconds in self._cold_start_s.items():
                cold.add_metric([phase], seconds)
            in_flight = GaugeMetricFamily(
                "zeropoint_requests_in_flight", "Requests being answered", value=self._in_flight
            )
            evictions = CounterMetricFamily(
                "zeropoint_evictions", "Models that left the memory", value=self._evictions
            )
        size = GaugeMetricFamily(
            "zeropoint_model_bytes", "Size of the file of a model in memory", labels=["model"]
        )
        queue = GaugeMetricFamily(
            "zeropoint_model_requests", "Requests at a model, waiting too", labels=["model"]
        )
        passes = CounterMetricFamily(
            "zeropoint_forward_passes", "Since the model was loaded", labels=["model"]
        )
        rows = CounterMetricFamily(
            "zeropoint_forward_rows", "Rows of all forward passes", labels=["model"]
        )
        texts = GaugeMetricFamily(
            "zeropoint_texts", "Texts that a model writes now", labels=["model"]
        )
        tokens = CounterMetricFamily(
            "zeropoint_tokens",
            "Read and written since the model was loaded",
            labels=["model", "kind"],
        )
        for busy in self.watch():
            size.add_metric([busy.model], busy.size_bytes)
            queue.add_metric([busy.model], busy.requests)
            passes.add_metric([busy.model], busy.counts.passes)
            rows.add_metric([busy.model], busy.counts.rows)
            texts.add_metric([busy.model], busy.counts.texts)
            tokens.add_metric([busy.model, "prompt"], busy.counts.prompt_tokens)
            tokens.add_metric([busy.model, "completion"], busy.counts.completion_tokens)
        yield from (requests, refusals, predictions, loads, steps, cold, in_flight)
        yield from (evictions, size, queue, passes, rows, texts, tokens)

    def text(self) -> bytes:
        """Returns the counts in Prometheus' text format.

        Raises:
            SettingsError: prometheus-client is not installed.
        """
        try:
            from prometheus_client import CollectorRegistry, generate_latest
        except ImportError:
            raise SettingsError(
                "/metrics needs prometheus-client: pip install 'zeropoint[metrics]'"
            ) from None
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)
