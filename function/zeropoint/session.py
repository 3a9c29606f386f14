"""ONNX Runtime, and the only module that imports it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeropoint import protobuf
from zeropoint.errors import ArtifactError, InvalidError
from zeropoint.tensors import Pixels, Tensors, TensorSpec

# Read at the import: else newer releases send telemetry from Linux too, and write a device's id
# below the home folder.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

_DTYPES = {
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(string)": np.object_,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
}
_CPU = "CPUExecutionProvider"
# In the metadata of a model whose graph was optimised when it was written.
BAKED = "zeropoint.baked"
# The same, of one whose graph has the normalisation of pixels in it: JSON of `tensors.Pixels`.
PIXELS = "zeropoint.pixels"
_MAPS = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")

# One arena for the passes of all models, which grows by what is asked for, not by powers of two.
ort.create_and_register_allocator(
    ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT),
    ort.OrtArenaCfg({"arena_extend_strategy": 1}),
)


def providers() -> frozenset[str]:
    """Returns the execution providers that this build of ONNX Runtime has."""
    return frozenset(ort.get_available_providers())


class Value:
    """An output that stays in ONNX Runtime's own memory.

    Args:
        value: ONNX Runtime's.
    """

    def __init__(self, value: ort.OrtValue) -> None:
        self.ort_value = value

    def array(self) -> NDArray[Any]:
        """Returns a copy of it."""
        found: NDArray[Any] = self.ort_value.numpy()
        return found


class Binding:
    """Inputs and outputs of a session where they lie: its passes copy none of them.

    Args:
        session: ONNX Runtime's.
        inputs: For each input an array, whose values a pass takes as they then are, or a value.
        outputs: For each output that is wanted an array that a pass writes to, which may be one
            of the inputs', or None for a new value.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Mapping[str, NDArray[Any] | Value],
        outputs: Mapping[str, NDArray[Any] | None],
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._new = [name for name, array in outputs.items() if array is None]
        self._kept: dict[int, ort.OrtValue] = {}  # ONNX Runtime keeps no array alive
        for name, given in inputs.items():
            value = given.ort_value if isinstance(given, Value) else self._value(given)
            self._binding.bind_ortvalue_input(name, value)
        for name, array in outputs.items():
            if array is None:
                self._binding.bind_output(name)
            else:
                self._binding.bind_ortvalue_output(name, self._value(array))
        self._names = list(outputs)

    def run(self) -> dict[str, Value]:
        """Executes one forward pass; returns the outputs for which there is no array.

        Raises:
            RuntimeError: the model refuses the inputs, or there is no memory for the outputs.
        """
        self._session.run_with_iobinding(self._binding)
        if not self._new:
            return {}
        values = dict(zip(self._names, self._binding.get_outputs(), strict=True))
        return {name: Value(values[name]) for name in self._new}

    def _value(self, array: NDArray[Any]) -> ort.OrtValue:
        if id(array) not in self._kept:
            self._kept[id(array)] = ort.OrtValue.ortvalue_from_numpy(array)
        return self._kept[id(array)]


class Session:
    """A model in memory. Never build one in a process that will fork: its threads stay behind.

    Args:
        path: An .onnx file, verified.
        threads: Threads for one forward pass.
        providers: Of ONNX Runtime, the first one preferred.

    Raises:
        ArtifactError: not a model that ONNX Runtime can load.
    """

    def __init__(self, path: Path, threads: int, providers: Sequence[str] = (_CPU,)) -> None:
        options = ort.SessionOptions()
        # Set, so that ONNX Runtime neither counts the host's processors nor pins threads.
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A thread that spins while it waits for work is billed as if it worked.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # What it says of a failed pass is on stderr, no record, and has numbers of the request.
        options.log_severity_level = 4
        # Whatever its name: of its own format nobody here looks for external data.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # The shared arena, and no plan of a pass, which would be a second copy of its memory; but
        # weights outside, as they leave with the model.
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        metadata = protobuf.metadata(path)
        if BAKED in metadata:  # optimised already, which takes most of a start
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = ort.InferenceSession(str(path), options, providers=list(providers))
            self.inputs = [_spec(node) for node in self._session.get_inputs()]
            self._pixels = Pixels.from_json(metadata[PIXELS]) if PIXELS in metadata else None
            if self._pixels:  # who sends tensors is not to see which of the files is loaded
                self.inputs = [self.inputs[0]._replace(dtype=np.dtype(np.float32), pixels=True)]
            self.outputs = [_spec(node) for node in self._session.get_outputs()]
        except Exception as error:  # its own classes share no base but this
            raise ArtifactError(f"{path.name}: ONNX Runtime cannot load it: {error}") from None
        self.threads = threads
        self._names = [spec.name for spec in self.outputs]
        self._maps = {node.name for node in self._session.get_outputs() if node.type in _MAPS}

    def native(self, tensors: Tensors) -> Tensors:
        """Returns tensors of `inputs` as the graph takes them: normalised pixels as bytes again."""
        if self._pixels is None:
            return tensors
        return {name: self._pixels.of(tensor) for name, tensor in tensors.items()}

    def run(self, tensors: Tensors) -> Tensors:
        """Executes one forward pass.

        Args:
            tensors: An array for each of `inputs`, of its dtype and shape; pixels as uint8, where
                it takes pixels.

        Returns:
            An array for each of `outputs`. Of a ZipMap, which scikit-learn's and LightGBM's
            converters put behind a classifier, float32[n, classes] in the order of its keys.

        Raises:
            InvalidError: the model refuses the tensors, as with an index out of its range.
        """
        try:
            found = self._session.run(self._names, tensors)
        except (InvalidArgument, Fail) as error:  # Fail: shapes that do not fit inside the model
            raise InvalidError("expected tensors that fit the model, got others") from error
        if self._maps:
            found = [
                _table(one) if name in self._maps else one
                for name, one in zip(self._names, found, strict=True)
            ]
        return dict(zip(self._names, found, strict=True))

    def bind(
        self,
        inputs: Mapping[str, NDArray[Any] | Value],
        outputs: Mapping[str, NDArray[Any] | None],
    ) -> Binding:
        """Returns passes over these inputs and outputs; see `Binding`."""
        return Binding(self._session, inputs, outputs)


def _table(maps: list[dict[str, float]]) -> NDArray[np.float32]:
    """Makes what a ZipMap gives, a map for each row, an array with a column for each key."""
    return np.array([[row[key] for key in sorted(row)] for row in maps], np.float32)


def _spec(node: ort.NodeArg) -> TensorSpec:
    if node.type in _MAPS:
        return TensorSpec(node.name, np.dtype(np.float32), (None, None))
    if node.type not in _DTYPES:
        raise ArtifactError(f"{node.name}: expected a tensor of a NumPy type, got {node.type}")
    shape = tuple(dim if isinstance(dim, int) else None for dim in node.shape)
    return TensorSpec(node.name, np.dtype(_DTYPES[node.type]), shape)
