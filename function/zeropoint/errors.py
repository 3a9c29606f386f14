"""What can go wrong, from the bytes of a request to the bytes of its answer.

    **bytes** → *protocol* → **instances** → *prepare* → **tensors** → *execute* → **tensors**
      400 413 415              413 415 422              429 500 503

A class carries its ``status`` (HTTP), its ``code`` (a word for programs) and whether the same
call may succeed later (``retryable``). `zeropoint.app` maps an error to an answer, in one
function. Messages reach the caller: they say what was expected and what came, and hold nothing
of the request's content.
"""

import copy
from typing import ClassVar, Self


class ZeropointError(Exception):
    """The base of all errors that Zeropoint raises."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def within(self, place: str) -> Self:
        """Returns the same error, its message saying first where it arose."""
        error = copy.copy(self)
        error.message = f"{place}: {self.message}"
        error.args = (error.message,)
        return error

    def of_instance(self, number: int, count: int) -> Self:
        """Returns the same error, naming which of several instances it is of; from 1."""
        return self.within(f"instance {number} of {count}") if count > 1 else self


class ClientError(ZeropointError):
    """The request is at fault; sending it again changes nothing."""

    status = 400
    code = "bad_request"


class MalformedError(ClientError):
    """The bytes cannot be parsed."""

    code = "malformed"


class BrokenImageError(MalformedError):
    """An image of a served format that is damaged or cut short."""

    code = "image_broken"


class UnauthorizedError(ClientError):
    """The request does not bring the key that ``ZEROPOINT_API_KEY`` asks for."""

    status = 401
    code = "unauthorized"


class RouteNotFoundError(ClientError):
    """No such route."""

    status = 404
    code = "route_not_found"


class ModelNotFoundError(ClientError):
    """The repository has no such model."""

    status = 404
    code = "model_not_found"


class MethodNotAllowedError(ClientError):
    """The route exists, but not for this method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, allow: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allow = allow


class BodyTooLargeError(ClientError):
    """The body, or the number of instances in it, is over the limit."""

    status = 413
    code = "body_too_large"


class ImageTooLargeError(ClientError):
    """An image has more pixels than may be decoded."""

    status = 413
    code = "image_too_large"


class SlowRequestError(ClientError):
    """A request that took too long to come in."""

    status = 408
    code = "request_timeout"


class UnsupportedMediaError(ClientError):
    """A media type, an encoding or an image format that is not served."""

    status = 415
    code = "unsupported_media"


class InvalidError(ClientError):
    """Parsed, but wrong for this model."""

    status = 422
    code = "invalid"


class ServerError(ZeropointError):
    """The fault is ours."""


class UnavailableError(ServerError):
    """Away for now; the same call may succeed after ``retry_after_s`` seconds.

    Args:
        message: What the caller is told.
        retry_after_s: Seconds.
        detail: What the log is told instead.
    """

    status = 503
    code = "unavailable"
    retryable = True

    def __init__(self, message: str, retry_after_s: float = 1.0, detail: str = "") -> None:
        super().__init__(message)
        self.args = (detail or message,)
        self.retry_after_s = retry_after_s


class ModelUnavailableError(UnavailableError):
    """The model is loading still, or could not be loaded."""

    code = "model_unavailable"


class OverloadedError(UnavailableError):
    """Too many calls wait for the model, or longer than a caller would."""

    status = 429
    code = "overloaded"


class CancelledError(UnavailableError):
    """The caller hung up before the turn came: nobody reads this, but it is counted."""

    status = 429
    code = "cancelled"


class InsufficientMemoryError(UnavailableError):
    """More memory is needed than the process may still take."""

    code = "insufficient_memory"


class ShuttingDownError(UnavailableError):
    """The process ends, and the answer would come too late."""

    code = "shutting_down"


class SettingsError(ServerError):
    """An environment variable has a value that it cannot have."""

    code = "settings"


class ManifestError(ServerError):
    """A model.toml that cannot be read, or that does not fit its model."""

    code = "manifest"


class ArtifactError(ServerError):
    """A model's file is missing, damaged or not what its manifest says."""

    code = "artifact"
