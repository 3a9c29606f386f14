"""Whether a candidate takes and gives what the original does."""

from zeropoint.model import Model
from zeropoint.tensors import TensorSpec


def differences(original: Model, candidate: Model) -> list[str]:
    """Tells inputs and outputs that would break a caller of the original."""
    found = []
    for kind, wanted, got in (
        ("inputs", original.inputs, candidate.inputs),
        ("outputs", original.outputs, candidate.outputs),
    ):
        if len(wanted) != len(got) or not all(map(_fits, wanted, got)):
            told = "; ".join(map(str, wanted)), "; ".join(map(str, got))
            found.append(f"expected the {kind} {told[0]}, got {told[1]}")
    return found


def _fits(wanted: TensorSpec, got: TensorSpec) -> bool:
    """Tells whether all that one takes or gives, the other does."""
    return (
        wanted.name == got.name
        and wanted.dtype == got.dtype
        and len(wanted.shape) == len(got.shape)
        and all(dim in (None, want) for want, dim in zip(wanted.shape, got.shape, strict=True))
    )
