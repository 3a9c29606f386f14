"""A candidate on trial: it is loaded, proved, asked, compared and measured."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from zeropoint import cpus, external_data, loader, tasks
from zeropoint.artifact import Artifact
from zeropoint.errors import InvalidError, ManifestError
from zeropoint.instances import Instance
from zeropoint.manifest import Gate
from zeropoint.model import Model
from zeropoint.optimize import agreement, classes, gate, measuring, perplexity, shapes, speedup
from zeropoint.optimize.agreement import Figures
from zeropoint.optimize.candidates import Candidate, cache_of
from zeropoint.optimize.gate import Trial
from zeropoint.optimize.measuring import Pair, Subject
from zeropoint.optimize.samples import Sample, SamplesError
from zeropoint.optimize.views import views
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared
from zeropoint.tasks.image import ImageTable
from zeropoint.tensors import Tensors

if TYPE_CHECKING:
    from zeropoint.writer import Writer

_MEASURED = 8  # samples
_REASON = 200  # characters
_TAKE_PHOTOS = ("image-classification", "object-detection")
_TELL_TOP = ("image-classification", "text-classification")
_MOST_TOLD = 50  # labels
_WRITTEN = 4  # samples whose answers' time is taken


class Judge:
    """The original, and the samples that others are held against it by.

    Args:
        artifact: Has the original and its known answer.
        settings: The limits; models are compared with one thread, whatever they say.
    """

    def __init__(self, artifact: Artifact, settings: Settings) -> None:
        self._artifact = artifact
        self._processors = cpus.threads(settings.cpus or cpus.available())
        self._settings = msgspec.structs.replace(settings, cpus=1.0)
        self.path = artifact.fetch(artifact.manifest.file)
        self.original = loader.build(artifact, self.path, self._settings)
        loader.prove(self.original, artifact)
        self.task = self._task(self.original)
        self._known: dict[tuple[str, ...], list[Prediction]] = {}
        self.cache = cache_of(artifact.manifest.tables)

    def gate(self, samples: Sequence[Sample], max_drop: float | None, reason: str) -> Gate:
        """Returns the gate: the caller's, the artifact's own, or the default.

        Args:
            samples: What will be judged by; whether they have labels decides the metric.
            max_drop: In points; None: the artifact's own, else the default.
            reason: Why so much.

        Raises:
            SamplesError: labels that are missing, or that nothing can be done with.
            ManifestError: the artifact's own gate is about a figure that there is not.
        """
        name, own = self._artifact.manifest.task, self._artifact.manifest.gate
        labels = [sample.label for sample in samples]
        if any(one is not None for one in labels) and agreement.metric_of(name) != classes.TOP_1:
            raise SamplesError(f"expected no labels for a model of {name}, got some")
        figures = self.compare(self.original, samples)
        count = classes.count(self._ask(self.original, samples[:1])[0])
        metric = own.metric if own else agreement.metric_of(name, labels, count)
        of_labels = metric in (classes.ACCURACY, classes.AUC)
        if metric not in figures and not of_labels:
            raise ManifestError(
                f"{self._artifact.manifest.name}: expected a gate.metric of"
                f" {', '.join(figures)}, got {metric!r}"
            )
        if of_labels and (None in labels or not figures.get(metric)):
            raise SamplesError(
                f"expected samples that tell the {metric}: each with a label of the model's"
            )
        return gate.chosen(metric, own, max_drop, reason)

    def image(self) -> ImageTable | None:
        """Returns the manifest's [image], if its model takes photos."""
        table = self._artifact.manifest.tables.get("image")
        takes_photos = self._artifact.manifest.task in _TAKE_PHOTOS
        return msgspec.convert(table, ImageTable) if takes_photos else None

    def prepare(self, instance: Instance) -> Prepared:
        """Prepares a sample as the original's task does.

        Raises:
            ClientError: it is refused, or it is a prompt with no room for an answer behind it.
        """
        prepared = self.task.prepare(instance)
        if self.cache:
            (tokens,) = prepared.tensors.values()
            most = self._artifact.manifest.tables["decoder"]["context"] - perplexity.MOST_WRITTEN
            if tokens.shape[1] > most:
                raise InvalidError(
                    f"expected a prompt of at most {most} tokens, got {tokens.shape[1]}"
                )
        return prepared

    def calibration(self, samples: Sequence[Sample]) -> list[Tensors]:
        """Returns samples, and other views of those that are photos, as the original's input."""
        seen = (view for one in samples for view in self._views(one.instance))
        return [self.task.prepare(view).tensors for view in seen]

    def _views(self, instance: Instance) -> Iterable[Instance]:
        if self.image() is None:
            return [instance]
        return views(instance, self._settings.max_pixels)

    def widened(self, samples: Sequence[Sample]) -> list[Sample]:
        """Returns samples, and as more of them the other views of those that are photos."""
        return [
            sample._replace(instance=view, digest=f"{sample.digest}{place or ''}")
            for sample in samples
            for place, view in enumerate(self._views(sample.instance))
        ]

    def drop(self, path: Path, samples: Sequence[Sample], metric: str) -> float:
        """Returns how many points worse than the original a file is; infinite if none can tell."""
        try:
            model = loader.build(self._artifact, path, self._settings)
            loader.prove(model, self._artifact)
            return agreement.drop(metric, self.compare(model, samples))
        except Exception:  # whatever is wrong with it, it is no candidate
            return float("inf")

    def compare(self, model: Model, samples: Sequence[Sample]) -> Figures:
        """Compares a model's predictions with the original's."""
        key = tuple(sample.digest for sample in samples)
        if key not in self._known:
            self._known[key] = self._ask(self.original, samples)
        known = self._known[key]
        labels = [sample.label for sample in samples]
        told = known if model is self.original else self._ask(model, samples)
        return agreement.compare(self._artifact.manifest.task, known, told, labels)

    def trial(
        self, candidate: Candidate, samples: Sequence[Sample], held: Gate, measured: bool = True
    ) -> Trial:
        """Puts a candidate on trial; whatever goes wrong with it is a reason to refuse it.

        Args:
            candidate: An .onnx file.
            samples: Those to judge by.
            held: The gate.
            measured: Whether its speed is looked at too.
        """
        figures: Figures = {}
        reasons: list[str] = []
        pair: Pair | None = None
        threads = 0
        try:
            external_data.refuse(candidate.path)
            use = loader.Use(alone=candidate.alone, max_batch=candidate.max_batch)
            model = loader.build(self._artifact, candidate.path, self._settings, use)
            reasons += shapes.differences(self.original, model)
            try:
                loader.prove(model, self._artifact)
            except Exception as error:
                told = _in_short(error, candidate.path)
                reasons.append(f"the known answer does not come out: {told}")
            figures = self.compare(model, samples)
            if measured:
                few = samples[: _WRITTEN if self.cache else _MEASURED]
                subject = self._subject(model, candidate.path, few)
                original = self._subject(self.original, self.path, few)
                pair = measuring.measure(original, subject)
                threads = self._threads(subject)
            reasons += gate.reasons(held, figures, pair)
        except Exception as error:
            reasons.append(_in_short(error, candidate.path))
        drop = agreement.drop(held.metric, figures) if figures else None
        size_bytes = candidate.path.stat().st_size if candidate.path.is_file() else 0
        return Trial(
            candidate.name,
            candidate.how,
            candidate.requires,
            size_bytes,
            figures,
            drop,
            pair,
            tuple(reasons),
            candidate.alone,
            threads,
            candidate.max_batch,
        )

    def _subject(self, model: Model, path: Path, samples: Sequence[Sample]) -> Subject:
        instances = [sample.instance for sample in samples]
        task = self._task(model)
        tensors = [task.prepare(instance).tensors for instance in instances]
        return Subject(path, model, instances, tensors, perplexity.WRITING if self.cache else {})

    def _threads(self, subject: Subject) -> int:
        if self.cache:  # what takes the time is steps of one token, which gain from no second one
            return 1
        return speedup.most_threads(subject.path, subject.tensors, self._processors)

    def _task(self, model: Model) -> tasks.Task:
        return tasks.create(self._artifact, model.inputs, model.outputs, self._settings)

    def _ask(self, model: Model, samples: Sequence[Sample]) -> list[Prediction]:
        if self.cache:
            return perplexity.ask(cast("Writer", model), [one.instance for one in samples])
        parameters: dict[str, Any] = {}
        if self._artifact.manifest.task in _TELL_TOP:
            labels = model.outputs[0].shape[1]
            parameters = {"top_k": min(labels, _MOST_TOLD)} if labels else {}
        found: list[Prediction] = []
        most = self._settings.max_instances
        for start in range(0, len(samples), most):
            instances = [sample.instance for sample in samples[start : start + most]]
            found += model.answer(instances, parameters).predictions
        return found


def _in_short(error: Exception, path: Path) -> str:
    """Says an error in a line without the path, which is this machine's."""
    text = str(error).replace(str(path), path.name) or type(error).__name__
    return textwrap.shorten(text, _REASON, placeholder=" …")
