"""The same batch as a pipeline of Apache Beam: on this machine, or on as many as Dataflow starts.

Files are found and read, and chunks of rows answered and encoded, as `source` and `answering` do it
for a local batch; how they are spread over machines, tried again and written is Beam's. Their order
is not kept.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)

from zeropoint import loader
from zeropoint.artifact import open_repository
from zeropoint.batch import forms, place
from zeropoint.batch.answering import Answered, Answering
from zeropoint.batch.chunk import Chunk
from zeropoint.batch.source import Source
from zeropoint.errors import ServerError, SettingsError
from zeropoint.manifest import Manifest
from zeropoint.settings import Settings

_NAMESPACE = "zeropoint"  # of the counters
_ROWS, _ERROR = "rows", "error_"
# A runner tells of a worker's error with its trace, and in it the name of its class.
_OURS = re.compile(r"^(?:\w+: )?zeropoint\.[\w.]+Error: (.+?)(?: \[while running .*)?$", re.M)


class Handler(ModelHandler[Chunk, Answered, Answering]):  # type: ignore[misc]
    """A model of a repository, loaded once in each process of a worker.

    Args:
        settings: Where the models are, and the limits; a worker has the same.
        manifest: The model's, which a worker must find again.
        parameters: What its task lets a caller vary.
        suffix: How rows are written, ``.jsonl`` or ``.parquet``.
    """

    def __init__(
        self, settings: Settings, manifest: Manifest, parameters: Mapping[str, Any], suffix: str
    ) -> None:
        super().__init__()
        self.suffix = suffix
        self._settings = settings
        self._manifest = manifest
        self._parameters = dict(parameters)

    def load_model(self) -> Answering:
        """Returns the model, once it has given its known answer.

        Raises:
            SettingsError: it is another than the batch was begun with.
        """
        repository = open_repository(self._settings)
        loaded = loader.load(repository, self._manifest.name, self._settings, threads=1)
        if loaded.manifest != self._manifest:
            raise SettingsError("expected the model that the batch was begun with, got another")
        return Answering(loaded, self._settings, self._parameters)

    def run_inference(
        self,
        batch: Sequence[Chunk],
        model: Answering,
        inference_args: dict[str, Any] | None = None,
    ) -> list[Answered]:
        """Returns the rows as they are written, those that cannot be answered with their errors."""
        form = forms.open_form(self.suffix)
        return [model.written(chunk, form) for chunk in _joined(batch)]

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """Returns how many rows are a batch: as many as the manifest says pay."""
        rows = self._manifest.max_batch
        return {"min_batch_size": rows, "max_batch_size": rows, "element_size_fn": _rows}

    def get_metrics_namespace(self) -> str:
        """Returns where Beam counts batches, latencies and the load."""
        return _NAMESPACE


def _rows(chunk: Chunk) -> int:
    return len(chunk.ids)


def _joined(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Returns chunks, those that are no tables as one: so that photos go through in one pass."""
    found = [one for one in chunks if one.columns is not None]
    rest = [one for one in chunks if one.columns is None]
    if rest:
        ids = [id_ for one in rest for id_ in one.ids]
        found.append(Chunk(ids, [instance for one in rest for instance in one.instances]))
    return found


class _Read(beam.DoFn):  # type: ignore[misc]
    """Reads a file's rows."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def process(self, found: Any) -> Iterator[Any]:
        """Yields chunks."""
        yield from self._source.each(found)


class _Count(beam.DoFn):  # type: ignore[misc]
    """Counts rows, and errors by code, as Beam's own metrics."""

    def process(self, answered: Any) -> Iterator[Any]:
        """Yields the rows as they are written."""
        Metrics.counter(_NAMESPACE, _ROWS).inc(answered.rows)
        for code, count in answered.errors.items():
            Metrics.counter(_NAMESPACE, f"{_ERROR}{code}").inc(count)
        yield answered.piece


def build(pipeline: beam.Pipeline, source: Source, handler: Handler, out: str) -> None:
    """Adds a batch to a pipeline.

    Args:
        pipeline: To which.
        source: The input. A worker finds its files anew, as a job's description may not hold
            millions of names.
        handler: The model.
        out: The folder of results.
    """
    inputs, takes_files, id_column = source.arguments
    pieces = (
        pipeline
        | "inputs" >> beam.Create([inputs])  # one element: a file that two of them name is one
        | "find files" >> beam.FlatMap(_files, takes_files, id_column)
        | "spread files" >> beam.Reshuffle()
        | "read" >> beam.ParDo(_Read(Source((), takes_files, id_column)))
        | "spread rows" >> beam.Reshuffle()
        | "answer" >> RunInference(handler)
        | "count" >> beam.ParDo(_Count())
    )
    prefix = _prefix(out)
    if handler.suffix == forms.JsonLines.suffix:
        _ = pieces | "write" >> beam.io.WriteToText(
            prefix,
            file_name_suffix=handler.suffix,
            append_trailing_newlines=False,  # a piece is some whole lines
            coder=beam.coders.BytesCoder(),
        )
    else:
        # Rows, and not the pieces: each of these would be a row group, and of photos it has one.
        pa = forms.arrow()
        schema = pa.schema([(name, pa.string()) for name in forms.COLUMNS])
        rows = pieces | "rows" >> beam.FlatMap(_records)
        _ = rows | "write" >> beam.io.WriteToParquet(
            prefix, schema, codec="zstd", file_name_suffix=handler.suffix
        )


def _files(inputs: Any, takes_files: bool, id_column: str) -> list[Any]:
    return Source(inputs, takes_files, id_column).files


def _records(piece: Any) -> list[Any]:
    found: list[Any] = piece.to_pylist()
    return found


def _prefix(out: str) -> str:
    return f"{out.rstrip('/')}/predictions"


def run(
    source: Source, handler: Handler, out: str, options: Sequence[str]
) -> dict[str, int] | None:
    """Runs a batch to its end.

    Args:
        source: The input.
        handler: The model.
        out: The folder of results.
        options: Beam's, ``--name=value``.

    Returns:
        How many rows were written, under ``rows``, and of them errors, under ``error_<code>``;
        None where the job was described only, as a template is.

    Raises:
        SettingsError: there are results in the folder already, or an option is wrong.
        ServerError: a worker met what ends a batch.
    """
    chosen = PipelineOptions([*options])
    standard = chosen.view_as(StandardOptions)
    if str(standard.runner).lower() in ("direct", "directrunner"):
        # DirectRunner would first try to download another runner, and to run the pipeline there.
        standard.runner = "FnApiRunner"
    chosen.get_all_options()  # warns of those that nobody knows
    _refuse_results(out)
    try:
        pipeline = beam.Pipeline(options=chosen)
    except ValueError as error:
        raise SettingsError(f"--option: {' '.join(str(error).split())}") from None
    build(pipeline, source, handler, out)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:  # each runner has others
        if found := _OURS.search(str(error)):
            raise ServerError(found[1]) from None
        raise
    if chosen.view_as(TestOptions).dry_run or chosen.view_as(GoogleCloudOptions).template_location:
        return None
    counted = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    return {
        one.key.metric.name: one.committed if one.committed is not None else one.attempted
        for one in counted
        if one.key.metric.name == _ROWS or one.key.metric.name.startswith(_ERROR)
    }


def _refuse_results(out: str) -> None:
    try:
        place.find(f"{_prefix(out)}*")
    except SettingsError:
        return
    raise SettingsError("expected an OUT without a batch's output, got one: name another")
