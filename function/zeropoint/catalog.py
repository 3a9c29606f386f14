"""The models of a repository: each is loaded once, at its first call, and kept.

Callers that come while a model loads wait for that one load. A load that failed is tried again
after a pause that grows, so that a repository which was away heals by itself. Where memory is
bounded, the models used least recently make room, each when its last call has ended.
"""

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from zeropoint import loader, malloc
from zeropoint.artifact import Artifact, Repository
from zeropoint.errors import (
    ModelNotFoundError,
    ModelUnavailableError,
    ZeropointError,
)
from zeropoint.logs import log
from zeropoint.memory import Memory, Slot, State
from zeropoint.metrics import Metrics
from zeropoint.model import Model
from zeropoint.settings import Settings

BUNDLED = "efficientnet-lite0"
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0
_NAMES_KEPT_S = 30.0
_EXIT_S = 5.0


class Catalog:
    """Loads models lazily and keeps them.

    Args:
        repository: Where they lie.
        settings: Name the default model, and the limits.
        metrics: Count the loads.
    """

    def __init__(
        self, repository: Repository, settings: Settings, metrics: Metrics | None = None
    ) -> None:
        self._repository = repository
        self._settings = settings
        self._metrics = metrics or Metrics()
        self._default = settings.model
        self._artifacts: dict[str, Artifact] = {}
        self._slots: dict[str, Slot] = {}
        self._memory = Memory(settings.max_loaded_bytes, self._metrics)
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()  # those that load
        weakref.finalize(self, _wait, self._threads)
        self._names: tuple[float, list[str]] = (float("-inf"), [])

    def names(self) -> list[str]:
        """Returns the repository's models, as of the last half minute.

        Raises:
            ModelUnavailableError: the repository is away.
        """
        read_s, names = self._names
        if time.monotonic() - read_s > _NAMES_KEPT_S:
            try:
                names = self._repository.names()
            except ZeropointError as error:  # its message names places that are not the caller's
                log.error("model repository: %s", error)
                raise ModelUnavailableError("the model repository is away", 5.0) from error
            self._names = (time.monotonic(), names)
        return names

    def artifact(self, name: str) -> Artifact:
        """Returns a model's artifact, its manifest read once; loads nothing.

        Raises:
            ModelNotFoundError: the repository has no such model.
            ModelUnavailableError: its manifest is wrong, or the repository is away.
        """
        self._known(name)
        if name not in self._artifacts:
            try:
                self._artifacts[name] = Artifact(self._repository, name)
            except ZeropointError as error:
                log.error("model %s: %s", name, error)
                raise ModelUnavailableError("the model's manifest cannot be read") from error
        return self._artifacts[name]

    @contextmanager
    def use(self, name: str, deadline_s: float) -> Iterator[Model]:
        """Gives a loaded model, loading it if nobody has; meanwhile it is not evicted.

        Args:
            name: The model's name; empty: the default.
            deadline_s: Of `time.monotonic`; no load is awaited longer.

        Raises:
            ModelNotFoundError: the repository has no such model.
            ModelUnavailableError: it could not be loaded, or not in time.
        """
        slot = self._claim(name, deadline_s)
        try:
            yield cast(Model, slot.model)
        finally:
            self._memory.release(slot)

    def start(self, name: str = "") -> State:
        """Begins to load a model if nobody has; returns its state and never waits for it.

        Args:
            name: The model's name; empty: the default.

        Raises:
            ModelNotFoundError: the repository has no such model.
        """
        slot = self._slot(name)
        if slot.state != "evicted":  # it gave its known answer, and comes back when it is called
            self._begin(slot, name)
        return slot.state

    def state(self, name: str) -> State:
        """Returns absent, loading, ready or failed; loads nothing."""
        slot = self._slots.get(name)
        return slot.state if slot else "absent"

    @property
    def loading(self) -> bool:
        """Whether a thread loads a model now."""
        return bool(self._threads)

    def loaded(self, name: str) -> Model | None:
        """Returns a model, or for an empty name the default, if it is in memory; loads nothing."""
        slot = self._slots.get(name or self._default)
        return slot.model if slot else None

    def _known(self, name: str) -> None:
        if name != self._default and name not in self.names():
            raise ModelNotFoundError("expected the name of a model served here (GET /models)")

    def _slot(self, name: str) -> Slot:
        slot = self._slots.get(name or self._default)
        if slot is None:
            if name:
                self._known(name)
            with self._lock:
                slot = self._slots.setdefault(name or self._default, Slot())
        return slot

    def _claim(self, name: str, deadline_s: float) -> Slot:
        """Returns the place of a model that is in memory, and counts a user of it."""
        while True:
            slot = self._slot(name)
            self._memory.claim(slot, deadline_s)
            try:
                ended = bool(slot.model) or self._begin(slot, name).wait(
                    max(0.0, deadline_s - time.monotonic())
                )
            except BaseException:  # else it would be in use for ever
                self._memory.release(slot)
                raise
            if slot.model:
                return slot
            self._memory.release(slot)
            if not ended:
                raise ModelUnavailableError("the model is still loading", retry_after_s=5.0)
            if slot is self._slots.get(name or self._default):
                wait_s = max(_FIRST_RETRY_S, slot.retry_at_s - time.monotonic())
                raise ModelUnavailableError(
                    "the model could not be loaded; the log says why", wait_s
                )

    def _begin(self, slot: Slot, name: str) -> threading.Event:
        """Returns the event of a model's load, begun now if it was due."""
        with self._lock:
            done = slot.done
            if done and (slot.model or not done.is_set() or time.monotonic() < slot.retry_at_s):
                return done
            done = slot.done = threading.Event()
        name = name or self._default
        thread = threading.Thread(
            target=self._load, args=(name, slot, done), name=f"load {name}", daemon=True
        )
        try:
            self._threads.add(thread)
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            self._threads.discard(thread)
            self._failed(name, slot, error)
            done.set()
        return done

    def _load(self, name: str, slot: Slot, done: threading.Event) -> None:
        timeout_s = self._settings.timeout_s
        try:
            name = name or self._settle_default(slot)
            if slot is self._slots.get(name):  # else somebody called it by its name meanwhile
                model = loader.load(
                    self._repository,
                    name,
                    self._settings,
                    lambda size_bytes: self._memory.room(slot, size_bytes, timeout_s),
                )
                malloc.trim()
                self._memory.keep(slot, model)
                self._metrics.loaded(name, "ready")
        except Exception as error:
            self._failed(name, slot, error)
        finally:
            done.set()
            self._threads.discard(threading.current_thread())

    def _failed(self, name: str, slot: Slot, error: Exception) -> None:
        """Notes and logs why a load failed, and when it may be tried again."""
        self._metrics.loaded(name or "default", "failed")
        problem = str(error) or type(error).__name__
        if problem != slot.problem:  # told once, not at every new try
            known = isinstance(error, ZeropointError)
            text = f"model {name} not loaded: {problem}"
            log.error(text, exc_info=None if known else error)
        slot.problem = problem
        slot.retry_s = min(_LAST_RETRY_S, max(_FIRST_RETRY_S, 2 * slot.retry_s))
        slot.retry_at_s = time.monotonic() + slot.retry_s

    def _settle_default(self, slot: Slot) -> str:
        """Returns the default model's name, and gives it this place unless it has one."""
        name = self.default_name()
        with self._lock:
            self._default = name
            self._slots.setdefault(name, slot)
            del self._slots[""]
        return name

    def default_name(self) -> str:
        """Returns the default model's name: the settings', else what the repository settles.

        Raises:
            ModelUnavailableError: it settles none, or it is away.
        """
        if self._default:
            return self._default
        names = self.names()
        if len(names) == 1:
            return names[0]
        if BUNDLED in names:
            return BUNDLED
        place = self._repository.location
        if not names:
            raise ModelUnavailableError(
                f"expected a model in {place}, got none (ZEROPOINT_MODELS names the repository)"
            )
        raise ModelUnavailableError(
            f"expected ZEROPOINT_MODEL to name the default model: {place} has {len(names)} models"
        )


def _wait(threads: set[threading.Thread]) -> None:
    """Waits for loads as the process ends; one within ONNX Runtime would abort it."""
    for thread in [*threads]:
        if thread is not threading.current_thread():
            thread.join(_EXIT_S)
