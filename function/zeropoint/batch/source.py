"""The input of a batch: its files in one order, and their rows, always with the same ids."""

import hashlib
from collections.abc import Iterator, Sequence

from zeropoint.batch import place, tables
from zeropoint.batch.chunk import Chunk, Stored
from zeropoint.batch.place import Found
from zeropoint.batch.share import Share
from zeropoint.errors import SettingsError

_PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_FILES = 16  # of a chunk
_ROWS = 64


class Source:
    """All rows of some inputs.

    Args:
        inputs: Files, folders and patterns, of this machine or of ``gs://``.
        takes_files: Whether the model's instances are photos: then each photo is a row.
        id_column: Of tables, what names their rows; empty: their files and numbers.
        most_rows: Of a chunk.

    Raises:
        SettingsError: there is nothing at an input that the model could take.
        UnavailableError: the storage is away.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        takes_files: bool,
        id_column: str = "",
        most_rows: int = _ROWS,
    ) -> None:
        self._id_column = id_column
        self._most_rows = most_rows
        self._takes_files = takes_files
        self.arguments = (tuple(inputs), takes_files, id_column)  # what makes it again elsewhere
        found = [one for each in inputs for one in self._found(each)]
        self.files = list(dict.fromkeys(found))
        self._total_bytes = max(1, sum(one.size_bytes for one in self.files))
        self._read_bytes = 0

    @property
    def digest(self) -> str:
        """What tells another input, by the names and sizes of its files."""
        return hashlib.sha256(repr(self.files).encode(errors="surrogatepass")).hexdigest()

    @property
    def fraction(self) -> float:
        """How much of it has been read, from 0 to 1."""
        return self._read_bytes / self._total_bytes

    def each(self, found: Found) -> Iterator[Chunk]:
        """Yields the rows of one of its files, wherever it is read."""
        if self._takes_files and not tables.is_table(found.uri):
            yield _of_photos([found.uri])
        else:
            yield from self._rows(found)

    def chunks(self, share: Share, done: int = 0) -> Iterator[Chunk]:
        """Yields the rows of a share in order, but for the first ``done`` of them."""
        for chunk in self._all():
            places: Sequence[int] = range(len(chunk.ids))
            if share.of > 1:
                places = [each for each in places if share.has(chunk.ids[each])]
            left = places[done:]
            done -= len(places) - len(left)
            if len(left) == len(chunk.ids) <= self._most_rows:
                yield chunk
                continue
            for start in range(0, len(left), self._most_rows):
                yield chunk.only(left[start : start + self._most_rows])

    def _all(self) -> Iterator[Chunk]:
        photos: list[str] = []
        for found in self.files:
            if self._takes_files and not tables.is_table(found.uri):
                photos.append(found.uri)
                self._read_bytes += found.size_bytes
            if photos and (len(photos) == _FILES or photos[-1] != found.uri):
                yield _of_photos(photos)
                photos = []
            if not self._takes_files or tables.is_table(found.uri):
                yield from self._rows(found)
        if photos:
            yield _of_photos(photos)

    def _rows(self, found: Found) -> Iterator[Chunk]:
        before = self._read_bytes
        with place.open_file(found.uri) as file:
            chunks = tables.chunks(found.uri, file, self._id_column)
            while chunk := place.reading(found.uri, lambda: next(chunks, None)):
                self._read_bytes = before + min(found.size_bytes, file.tell())
                yield chunk
        self._read_bytes = before + found.size_bytes

    def _found(self, uri: str) -> list[Found]:
        found = place.find(uri)
        if len(found) == 1 and found[0].uri == uri:
            if not self._takes_files and not tables.is_table(uri):
                raise SettingsError(f"expected {', '.join(tables.SUFFIXES)}, got {uri}")
            return found
        suffixes = (*tables.SUFFIXES, *_PHOTOS) if self._takes_files else tables.SUFFIXES
        kept = [one for one in found if one.uri.lower().endswith(suffixes)]
        if not kept:
            raise SettingsError(f"{uri}: expected files that end in {', '.join(suffixes)}")
        return kept


def _of_photos(uris: Sequence[str]) -> Chunk:
    # A name that is no UTF-8 cannot be written as it is.
    ids = [uri.encode(errors="backslashreplace").decode() for uri in uris]
    return Chunk(ids, [Stored(uri) for uri in uris])
