"""The manifest's [[features]]: the columns of a table in the model's order, and what each takes."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from zeropoint.errors import InvalidError, ManifestError

_NUMBER = (int, float)
_SCALAR = (str, int, float)
_TOLD = 20  # names in one message at most
_KINDS = {"number": "f", "integer": "iuf", "boolean": "biuf", "category": "iufO"}  # of dtypes
# As JSON has them and as CSV files may; the numbers 1 and 0 are equal to true and false.
_BOOLEANS: dict[Any, int] = {True: 1, False: 0, "true": 1, "false": 0, "True": 1, "False": 0}
_TEXTS = {True: "true", False: "false"}
_CAME = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}

# Makes a value of JSON what a model's array holds, or raises InvalidError.
Reader = Callable[[Any], Any]


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of [[features]]: a column of the table that the model was trained on."""

    name: Annotated[str, Meta(min_length=1)]
    type: Literal["number", "integer", "boolean", "category"]
    minimum: int | float | None = None
    maximum: int | float | None = None
    categories: tuple[str | int | float, ...] = ()
    codes: tuple[int | float, ...] = ()  # of categories that are texts; without, their index
    default: bool | int | float | str | UnsetType = UNSET  # of a value that is missing
    description: str = ""

    def __post_init__(self) -> None:
        bounds = [one for one in (self.minimum, self.maximum) if one is not None]
        numbers = [one for one in self.categories if not isinstance(one, str)]
        if (self.type == "category") != bool(self.categories):
            raise ValueError("expected `categories` for the type category and for no other")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("expected `categories` that differ")
        if len(numbers) not in (0, len(self.categories)):
            raise ValueError("expected `categories` that are all texts or all numbers")
        if self.codes and (numbers or len(self.codes) != len(self.categories)):
            raise ValueError("expected a number in `codes` for each text in `categories`")
        if bounds and self.type not in ("number", "integer"):
            raise ValueError("expected `minimum`, `maximum` for the types number and integer only")
        if bounds != sorted(bounds):
            raise ValueError("expected a `minimum` of at most `maximum`")
        if not all(-math.inf < one < math.inf for one in [*bounds, *numbers, *self.codes]):
            raise ValueError("expected no other number than `default` to be nan or inf")


def reader(feature: Feature, dtype: np.dtype[Any], place: str) -> Reader:
    """Returns what reads a feature's values for an array of ``dtype``.

    Raises:
        ManifestError: the array cannot hold such values, or the default is none of them; the
            message begins with ``place``.
    """
    if dtype.kind not in _KINDS[feature.type]:
        raise ManifestError(f"{place}: expected an input for the type {feature.type}, got {dtype}")
    if feature.type == "category":
        read = _category(feature.categories, _codes(feature, dtype, place))
    else:
        read = _boolean if feature.type == "boolean" else _number(feature, dtype)
    if isinstance(feature.default, UnsetType):
        return read
    default: Any = math.nan  # what trees and imputers take for missing
    if dtype.kind != "f" or not _is_nan(feature.default):
        try:
            default = read(feature.default)
        except InvalidError as error:
            raise ManifestError(f"{place}: the default: {error.message}") from None
    return lambda value: default if value is None else read(value)


def in_words(names: Sequence[Any]) -> str:
    """Returns names for a message, the first ones of many."""
    return ", ".join([*map(str, names[:_TOLD]), *["…"] * (len(names) > _TOLD)])


def json_schema(feature: Feature) -> dict[str, Any]:
    """Returns the JSON Schema of a feature's values."""
    schema: dict[str, Any] = {"type": feature.type}
    if feature.type == "category":
        schema = {"enum": list(feature.categories)}
    for key in ("minimum", "maximum"):
        if (bound := getattr(feature, key)) is not None:
            schema[key] = bound
    if not isinstance(feature.default, UnsetType):
        schema = {"anyOf": [schema, {"type": "null"}]}
        if not _is_nan(feature.default):  # which JSON cannot say
            schema["default"] = feature.default
    return {**schema, "description": feature.description} if feature.description else schema


def _number(feature: Feature, dtype: np.dtype[Any]) -> Reader:
    whole = feature.type == "integer"
    wanted = "an integer" if whole else "a number"
    info: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    kept: Callable[[Any], float] = float if dtype.kind == "f" else int
    low, high = kept(info.min), kept(info.max)
    bounds = []
    if feature.minimum is not None:
        bounds, low = [f"at least {feature.minimum}"], max(low, feature.minimum)
    if feature.maximum is not None:
        bounds, high = [*bounds, f"at most {feature.maximum}"], min(high, feature.maximum)
    wanted += f" of {' and '.join(bounds)}" if bounds else ""

    def read(value: Any) -> float:
        if not isinstance(value, _NUMBER) or isinstance(value, bool):
            raise _misfit(wanted, value)
        if not low <= value <= high:  # NaN is refused too, and an integer may be of any length
            raise InvalidError(f"expected {wanted}, got one out of range")
        if whole and value != int(value):
            raise InvalidError(f"expected {wanted}, got a fraction")
        return kept(value)

    return read


def _boolean(value: Any) -> int:
    if isinstance(value, _SCALAR) and value in _BOOLEANS:
        return _BOOLEANS[value]
    raise _misfit("true or false", value)


def _category(categories: Sequence[str | int | float], codes: Sequence[Any]) -> Reader:
    known: dict[Any, Any] = dict(zip(categories, codes, strict=True))
    # CSV makes numbers of such texts too. One that several read as, "1" and "1.0", is none of them.
    numbers = list(map(_as_number, categories))
    readings = Counter(numbers)
    for number, code in zip(numbers, codes, strict=True):
        if readings[number] == 1:
            known[number] = code
    wanted = f"one of {in_words(categories)}"

    def read(value: Any) -> Any:
        # CSV makes these of texts, and they are equal to 1 and 0.
        key = _TEXTS[value] if isinstance(value, bool) else value
        if not isinstance(key, _SCALAR):
            raise _misfit(wanted, value)
        if key not in known:
            raise InvalidError(f"expected {wanted}, got another value")
        return known[key]

    return read


def _codes(feature: Feature, dtype: np.dtype[Any], place: str) -> Sequence[Any]:
    """Returns what the model's array holds for each category."""
    texts = isinstance(feature.categories[0], str)
    if dtype.kind == "O" and texts and not feature.codes:
        return feature.categories
    codes = feature.codes or (range(len(feature.categories)) if texts else feature.categories)
    if dtype.kind != "O":
        with np.errstate(all="ignore"), contextlib.suppress(OverflowError):
            kept = np.array(codes, np.object_).astype(dtype)
            # Of floats the nearest is meant, if categories stay as different as they are.
            rounded = np.isfinite(kept).all() and len(set(kept.tolist())) == len(set(codes))
            if rounded if dtype.kind == "f" else kept.tolist() == list(codes):
                return codes
    raise ManifestError(f"{place}: expected categories or codes for {dtype}, got others")


def _as_number(text: str | int | float) -> str | int | float:
    """Returns the number that CSV makes of a text that reads as one, else the text."""
    try:
        return msgspec.json.decode(text, type=int | float) if isinstance(text, str) else text
    except ValueError:  # also of a number with more digits than are read
        return text


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _misfit(wanted: str, value: Any) -> InvalidError:
    came = "none" if value is None else _CAME.get(type(value), "an object")
    return InvalidError(f"expected {wanted}, got {came}")
