"""Candidates: what an artifact's model could be replaced by. Whether it may, the gate says."""

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from onnx import ModelProto

from zeropoint.optimize import folding, graphs, quantizing, sensitivity
from zeropoint.optimize.graphs import UnfitError
from zeropoint.optimize.quantizing import Quantizer
from zeropoint.tasks.image import ImageTable
from zeropoint.tensors import Tensors

# Processors without an instruction that adds up products of bytes saturate at 16 bits on the way.
_INT8 = ("int8-dot",)
_CONVOLUTIONS = ("Conv", "ConvTranspose")
# An activation's range is taken over the whole batch: neighbours would change an answer.
_ALONE = ("int8-dynamic",)
_SUMS = "int8-sums"
# Texts that are written together, where each has its own row of a shared cache: with sums of
# integers each text is the same as alone, and 4 of them take the time of 2.4. Weights of 4 bits
# with sums in floating point gain nothing.
_TOGETHER = {_SUMS: 8}
_PROVED = 2  # samples that show that a file answers at all


class Candidate(NamedTuple):
    """An .onnx file that may take the original's place."""

    name: str
    path: Path
    how: str  # it was made, in one sentence for the report
    requires: tuple[str, ...] = ()  # of the processor, of `hardware.WORDS`
    alone: bool = False  # rows go through it one by one
    max_batch: int = 0  # most rows of a pass; 0: the manifest's


class Job(NamedTuple):
    """What candidates are made of."""

    source: Path  # the original .onnx file
    calibration: Sequence[Tensors]  # prepared samples, one row each
    folder: Path  # where the candidates are written
    image: ImageTable | None  # how pixels are normalised, where the model takes photos
    judge: Callable[[Path], float]  # the drop in points of a file, on other samples than these
    target_drop: float = 1.0  # in points: where int8-mixed is good enough
    half: bool = False  # also float16, which some providers want; processors are slower with it
    only: Collection[str] = ()  # names of those to make; none: all that fit
    cache: str = ""  # of a model that writes: how it keeps what it read, as [decoder] has it


def candidates(job: Job, progress: Callable[[str], None]) -> Iterator[Candidate]:
    """Makes candidates and yields each as it is there.

    Args:
        job: What they are made of.
        progress: Is told what goes on, and why a candidate is left out.
    """
    with tempfile.TemporaryDirectory(dir=job.folder) as folder:
        maker = _Maker(job, Path(folder), progress)
        for name, (how, requires, make) in maker.recipes().items():
            if job.only and name not in job.only:
                continue
            progress(f"{name}: being made")
            path = job.folder / f"{name}.onnx"
            try:
                with graphs.quiet():
                    more = make(path)
                    maker.check(path, exact=name in ("baked", "folded"))
            except Exception as error:  # the libraries' own classes share no base but this
                path.unlink(missing_ok=True)
                progress(f"{name}: left out: {str(error) or type(error).__name__}")
                continue
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            rows = _TOGETHER.get(name, 0) if job.cache == "shared" else 0
            yield Candidate(name, path, how + (more or ""), requires, name in _ALONE, rows)


def cache_of(tables: Mapping[str, Any]) -> str:
    """Returns how a manifest's model keeps what it read of a text; empty if it writes none."""
    return str(tables["decoder"].get("cache", "appended")) if "decoder" in tables else ""


_Recipe = tuple[str, tuple[str, ...], Callable[[Path], str | None]]


class _Maker:
    def __init__(self, job: Job, folder: Path, progress: Callable[[str], None]) -> None:
        self._job = job
        self._folder = folder
        self._progress = progress
        self._model = onnx.load(job.source)
        self._quantizer: Quantizer | None = None
        convolutions = sensitivity.weight_bytes(self._model, _CONVOLUTIONS)
        layers = sensitivity.weight_bytes(self._model, sensitivity.LAYERS)
        matrices = sensitivity.weight_bytes(self._model, ("MatMul",))
        self._is_static = layers > 0 and matrices <= layers / 2
        self._has_matrices = matrices > convolutions
        self._has_products = any(
            node.op_type == "MatMulNBits" for node in graphs.walk(self._model.graph)
        )

    def recipes(self) -> dict[str, _Recipe]:
        """Returns how each candidate that fits the model is made, and what it requires."""
        found: dict[str, _Recipe] = {
            "baked": ("graph fused at the extended level", (), self._baked)
        }
        pixels = ""
        if self._job.image is not None:
            how = "graph fused, with the normalisation in it: it takes uint8 pixels"
            found["folded"] = (how, (), self._folded)
            pixels = ", takes uint8 pixels"
        if self._is_static:
            how = f"static int8, per channel, weights rounded by GPTQ{pixels}; "
            found["int8"] = (f"{how}all layers", _INT8, self._int8)
            found["int8-mixed"] = (
                f"{how}the layers most sensitive to it stay in float32: ",
                _INT8,
                self._mixed,
            )
        # What a model that writes says to a prompt may not follow how that is cut to passes: so it
        # has no activations quantized as they come.
        if self._has_matrices and not self._job.cache:
            how = (
                "weights of MatMul and embeddings in int8, activations quantized as they come, so"
                " that texts go one by one"
            )
            found["int8-dynamic"] = (how, _INT8, self._dynamic)
        if self._has_matrices and not self._has_products:  # which has fewer bits already
            how = "weights of MatMul in 4 bits, a scale for each 32"
            found["int4"] = (how, (), self._four_bits)
        if self._has_products:
            how = "products with weights of 4 bits summed up in int8"
            found[_SUMS] = (how, _INT8, self._sums)
        if self._job.half and not self._job.cache:  # a cache would become float32 at each step
            found["fp16"] = ("float16, inputs and outputs in float32", (), self._half)
        return found

    def check(self, path: Path, exact: bool) -> None:
        """Raises `UnfitError` if a file does not answer as the original does."""
        pairs = []
        # Without its cache no model that writes can be run: the trial has it write.
        for known in () if self._job.cache else self._job.calibration[:_PROVED]:
            asked = dict(known)
            for one in graphs.runner(path, optimize=False).get_inputs():
                if self._job.image is not None and one.type == "tensor(uint8)":
                    asked[one.name] = folding.pixels(known[one.name], self._job.image)
            pairs.append((asked, known))
        graphs.check(path, self._job.source, pairs, exact)

    def _baked(self, path: Path) -> None:
        graphs.bake(self._model, path)

    def _folded(self, path: Path) -> None:
        graphs.bake(self._with_pixels(self._model), path)

    def _int8(self, path: Path) -> None:
        graphs.bake(self._with_pixels(self._static().quantize()), path)

    def _mixed(self, path: Path) -> str:
        quantizer = self._static()

        def write(without: frozenset[str], place: Path) -> None:
            graphs.bake(self._with_pixels(quantizer.quantize(without)), place)

        def judge(without: frozenset[str]) -> float:
            trial = self._folder / "trial.onnx"
            write(without, trial)
            return self._job.judge(trial)

        job = self._job
        kept = sensitivity.chosen(
            quantizer, job.calibration, judge, job.target_drop, self._progress
        )
        write(kept, path)
        layers = sensitivity.layers(quantizer.model)
        names = [node.name for node in layers if node.name in kept]
        return f"{len(names)} of {len(layers)}"

    def _dynamic(self, path: Path) -> None:
        graphs.bake(quantizing.dynamic(self._model, self._folder), path)

    def _four_bits(self, path: Path) -> None:
        graphs.bake(quantizing.four_bits(self._model), path)

    def _sums(self, path: Path) -> None:
        found = quantizing.int8_sums(self._model)
        path.write_bytes(found.SerializeToString(deterministic=True))

    def _half(self, path: Path) -> None:
        graphs.bake(quantizing.half(self._model), path)

    def _with_pixels(self, model: ModelProto) -> ModelProto:
        return folding.fold(model, self._job.image) if self._job.image is not None else model

    def _static(self) -> Quantizer:
        """Returns the model's quantizer, made once."""
        job = self._job
        if not job.calibration:
            raise UnfitError("expected samples to calibrate on, got none")
        if self._quantizer is None:
            inputs: dict[str, tuple[float, int]] = {}
            exact = folding.scale_and_zero_point(job.image) if job.image is not None else None
            if exact is not None:
                inputs[next(iter(job.calibration[0]))] = exact
            self._progress("int8: rounding the weights")
            model = _named(graphs.fused(self._model, "basic"))
            self._quantizer = Quantizer(model, job.calibration, self._folder, inputs)
        return self._quantizer


def _named(model: ModelProto) -> ModelProto:
    """Gives each node a name, by which the quantizer leaves it out."""
    for place, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{place}"
    return model
