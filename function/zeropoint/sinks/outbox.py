"""The outbox: a folder of records that wait for a sink which was away.

    OUTBOX/waiting/   what `zeropoint sync` has still to send, the oldest first
    OUTBOX/errors/    what the sink will never take

A file is named by the digest of its record's name and holds an envelope: JSON with the name, the
attributes and the record as it is to be sent. It is written as `FileSink` writes: whole, durable,
and only if there is none.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from zeropoint import durable
from zeropoint.errors import ServerError, UnavailableError
from zeropoint.sinks import names
from zeropoint.sinks.file import FileSink

_WAITING, _ERRORS = "waiting", "errors"
_PART = ".part"  # of `FileSink`: what a process was writing when it was killed
_OLD_PART_S = 3600.0


class Envelope(msgspec.Struct, frozen=True):
    """A record, and what its sink has to know of it."""

    name: str
    attributes: dict[str, str]
    record: msgspec.Raw


class DamagedEnvelopeError(ServerError):
    """A file of the outbox that is no envelope, as after a fault of the disk."""

    code = "envelope_damaged"


class Outbox:
    """A folder of envelopes, which is made when the first is written.

    Args:
        root: The folder; it must be on a file system with hard links.
    """

    def __init__(self, root: Path) -> None:
        self.location = str(root)
        self._root = root
        self._folders = FileSink(root)

    def put(self, name: str, record: bytes, attributes: Mapping[str, str]) -> bool:
        """Keeps a record; returns whether none of that name waited.

        Raises:
            UnavailableError: the folder cannot be written.
        """
        told = {key: _text(value) for key, value in attributes.items()}
        envelope = Envelope(_text(name), told, msgspec.Raw(record))
        data, file = msgspec.json.encode(envelope), _file(name)
        if self._folders.put(f"{_WAITING}/{file}", data, {}):
            return True
        try:
            self.read(file)
        except DamagedEnvelopeError:  # which is no record, and would be this one's loss
            self.refuse(file)
            return self._folders.put(f"{_WAITING}/{file}", data, {})
        return False

    def get(self, name: str) -> bytes | None:
        """Returns a record that waits or was refused, None if there is none.

        Raises:
            UnavailableError: the folder cannot be read.
        """
        for folder in (_WAITING, _ERRORS):
            data = self._folders.get(f"{folder}/{_file(name)}")
            with contextlib.suppress(DamagedEnvelopeError):
                if data is not None:
                    return bytes(_decoded(data).record)
        return None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the outbox meanwhile, so that no other process sends from it.

        Raises:
            UnavailableError: another does, or the folder cannot be used.
        """
        with self._told():
            try:
                opened = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                opened = -1  # nothing was ever kept
        if opened < 0:
            yield
            return
        try:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UnavailableError(
                    f"{self.location}: expected to be alone, but another zeropoint sync sends"
                ) from None
            yield
        finally:
            os.close(opened)  # and with it goes the lock

    def waiting(self) -> list[str]:
        """Returns the names of the files that wait, the oldest first.

        Raises:
            UnavailableError: the folder cannot be read.
        """
        return self._files(_WAITING)

    def refused(self) -> int:
        """Returns how many records the sink will never take; raises as `waiting` does."""
        return len(self._files(_ERRORS))

    def read(self, file: str) -> Envelope:
        """Returns what a waiting file holds.

        Raises:
            DamagedEnvelopeError: no envelope.
            UnavailableError: it cannot be read.
        """
        with self._told():
            return _decoded((self._root / _WAITING / file).read_bytes())

    def remove(self, file: str) -> None:
        """Deletes a waiting file, its record sent; raises UnavailableError."""
        with self._told():
            (self._root / _WAITING / file).unlink()

    def refuse(self, file: str) -> None:
        """Puts a waiting file among those that are not sent; raises UnavailableError."""
        with self._told():
            waiting, errors = self._root / _WAITING, self._root / _ERRORS
            with contextlib.suppress(FileExistsError):
                errors.mkdir()
                durable.sync(self._root)
            (waiting / file).replace(errors / file)
            durable.sync(errors)

    def sweep(self) -> None:
        """Makes what was removed stay so after a power cut, and deletes parts left by killed ones.

        Raises:
            UnavailableError: the folder cannot be written.
        """
        before = time.time() - _OLD_PART_S
        with self._told(), contextlib.suppress(FileNotFoundError):
            for path in (self._root / _WAITING).iterdir():
                if path.suffix == _PART and path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
            durable.sync(self._root / _WAITING)

    def _files(self, folder: str) -> list[str]:
        found = []
        with self._told(), contextlib.suppress(FileNotFoundError):
            for path in (self._root / folder).iterdir():
                if path.suffix == names.SUFFIX:
                    found.append((path.stat().st_mtime_ns, path.name))
        return [name for _, name in sorted(found)]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnavailableError(
                "the outbox is away, or refuses",
                retry_after_s=5.0,
                detail=f"{self.location}: expected a folder that can be read and written, got"
                f" {error.strerror}",
            ) from None


def fingerprint(record: bytes) -> str:
    """Returns the fingerprint of the event that a record is of; empty where it has none."""
    try:
        found = msgspec.json.decode(record, type=_Record).event.fingerprint
    except msgspec.DecodeError:  # a record of somebody else
        found = ""
    return found


class _Event(msgspec.Struct, frozen=True):
    fingerprint: str = ""


class _Record(msgspec.Struct, frozen=True):
    event: _Event = _Event()


def _file(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest() + names.SUFFIX


def _text(value: str) -> str:
    """Returns a text that JSON can hold; half a surrogate pair becomes an escape."""
    return value.encode(errors="backslashreplace").decode()


def _decoded(data: bytes) -> Envelope:
    try:
        return msgspec.json.decode(data, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DamagedEnvelopeError("expected an envelope, got another file") from None
