"""Which rows are this task's, where several tasks of a Cloud Run job share a batch."""

import hashlib
import os
from collections.abc import Mapping
from typing import NamedTuple

from zeropoint.errors import SettingsError


class Share(NamedTuple):
    """One of several shares: every row is in one of them, by its id, whoever asks."""

    number: int = 0  # from 0 on
    of: int = 1
    again: bool = False  # this task has been begun before

    def has(self, row: str) -> bool:
        """Tells whether the row of an id is in this share."""
        if self.of == 1:
            return True
        digest = hashlib.sha256(row.encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number

    @property
    def name(self) -> str:
        """What tells its files from other shares'."""
        return "" if self.of == 1 else f"-{self.number:05}-of-{self.of:05}"


def of_task(environment: Mapping[str, str] = os.environ) -> Share:
    """Returns the share of a task of a Cloud Run job; without one, all.

    Raises:
        SettingsError: its variables are no such numbers.
    """
    texts = [
        environment.get(f"CLOUD_RUN_TASK_{name}", default)
        for name, default in (("INDEX", "0"), ("COUNT", "1"), ("ATTEMPT", "0"))
    ]
    try:
        index, count, attempt = map(int, texts)
        if not 0 <= index < count or attempt < 0:
            raise ValueError
    except ValueError:
        raise SettingsError(
            "expected CLOUD_RUN_TASK_INDEX below CLOUD_RUN_TASK_COUNT and CLOUD_RUN_TASK_ATTEMPT"
            " from 0 on, got others"
        ) from None
    return Share(index, count, attempt > 0)
