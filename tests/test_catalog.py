"""Each model is loaded once, kept, and refused alone when it cannot be loaded."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tiny_models import picture, write_colour_model
from zeropoint.artifact import LocalRepository, open_repository
from zeropoint.catalog import Catalog
from zeropoint.errors import ModelNotFoundError, ModelUnavailableError
from zeropoint.instances import Blob
from zeropoint.manifest import File
from zeropoint.model import Model
from zeropoint.settings import Settings


def catalog_of(settings: Settings) -> Catalog:
    return Catalog(open_repository(settings), settings)


def get(catalog: Catalog, name: str, timeout_s: float = 10.0) -> Model:
    with catalog.use(name, time.monotonic() + timeout_s) as model:
        return model


class CountingRepository(LocalRepository):
    """A repository that counts the files fetched from it, slowly."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetched: list[str] = []

    def fetch(self, name: str, file: File) -> Path:
        """Waits a little, counts and fetches."""
        time.sleep(0.05)
        self.fetched.append(file.path)
        return super().fetch(name, file)


def test_many_first_callers_share_one_load(settings: Settings) -> None:
    repository = CountingRepository(Path(settings.models))
    catalog = Catalog(repository, settings)
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: get(catalog, "colour"), range(50)))
    assert all(model is found[0] for model in found)
    assert repository.fetched.count("model.onnx") == 1


def test_the_default_and_its_name_are_one_load(settings: Settings) -> None:
    catalog = catalog_of(settings)
    assert get(catalog, "") is get(catalog, "colour")
    assert catalog.state("colour") == "ready"


def test_many_first_callers_by_name_and_by_default_share_one_load(settings: Settings) -> None:
    repository = CountingRepository(Path(settings.models))
    catalog = Catalog(repository, settings)
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda n: get(catalog, "colour" if n % 2 else ""), range(50)))
    assert all(model is found[0] for model in found)
    assert repository.fetched.count("model.onnx") == 1


def test_the_only_model_is_the_default(settings: Settings) -> None:
    assert get(catalog_of(settings), "").manifest.name == "colour"


def test_the_bundled_model_is_the_default_among_several(tmp_path: Path) -> None:
    for name in ("another", "efficientnet-lite0"):
        write_colour_model(tmp_path, name)
    found = get(catalog_of(Settings(models=str(tmp_path))), "")
    assert found.manifest.name == "efficientnet-lite0"


def test_several_models_without_a_default_are_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        write_colour_model(tmp_path, name)
    catalog = catalog_of(Settings(models=str(tmp_path)))
    with pytest.raises(ModelUnavailableError):
        get(catalog, "")
    assert get(catalog, "two").manifest.name == "two"


def test_a_settings_default_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_colour_model(tmp_path, name)
    catalog = catalog_of(Settings(models=str(tmp_path), model="two"))
    assert get(catalog, "").manifest.name == "two"


def test_an_unknown_name_is_not_found_and_takes_no_place(settings: Settings) -> None:
    catalog = catalog_of(settings)
    for name in ("nope", "../colour", "COLOUR"):
        with pytest.raises(ModelNotFoundError):
            get(catalog, name)
        assert catalog.state(name) == "absent"


def test_start_never_waits(settings: Settings) -> None:
    repository = CountingRepository(Path(settings.models))
    catalog = Catalog(repository, settings)
    assert catalog.start() == "loading"
    get(catalog, "")
    assert catalog.start() == "ready"
    assert repository.fetched.count("model.onnx") == 1


def test_a_caller_waits_no_longer_than_it_may(settings: Settings) -> None:
    catalog = Catalog(CountingRepository(Path(settings.models)), settings)
    with pytest.raises(ModelUnavailableError, match="still loading"):
        get(catalog, "colour", 0.01)
    assert get(catalog, "colour").manifest.name == "colour"


def test_a_failed_load_refuses_its_own_calls_only(colour_repository: Path) -> None:
    broken = write_colour_model(colour_repository, "broken")
    (broken / "model.onnx").write_bytes(b"")
    catalog = catalog_of(Settings(models=str(colour_repository), model="colour"))
    with pytest.raises(ModelUnavailableError) as caught:
        get(catalog, "broken")
    assert caught.value.retry_after_s >= 1.0
    assert catalog.state("broken") == "failed"
    answer = get(catalog, "colour").answer([Blob(picture("blue"))])
    assert answer.predictions[0]["label"] == "blue"


def test_a_mended_model_is_loaded_after_the_pause(colour_repository: Path) -> None:
    labels = colour_repository / "colour" / "labels.txt"
    right = labels.read_bytes()
    labels.write_bytes(b"wrong")
    catalog = catalog_of(Settings(models=str(colour_repository)))
    with pytest.raises(ModelUnavailableError):
        get(catalog, "colour")
    labels.write_bytes(right)
    with pytest.raises(ModelUnavailableError):  # the pause is not over
        get(catalog, "colour")
    until_s = time.monotonic() + 10.0
    while catalog.start() != "ready":
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_no_thread_is_left_when_the_load_is_done(settings: Settings) -> None:
    get(catalog_of(settings), "")
    time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("load")]


def test_a_load_for_which_there_is_no_thread_fails_and_is_tried_again(settings: Settings) -> None:
    catalog = catalog_of(settings)
    before = threading.stack_size(1 << 46)  # more than there is address space for
    try:
        with pytest.raises(ModelUnavailableError, match="could not be loaded"):
            get(catalog, "colour")
    finally:
        threading.stack_size(before)
    assert catalog.state("colour") == "failed"
    assert catalog._slots["colour"].users == 0
    time.sleep(1.1)  # the pause
    assert get(catalog, "colour").manifest.name == "colour"


class Exhausted(LocalRepository):
    """A repository that runs out of memory, which says nothing."""

    def fetch(self, name: str, file: File) -> Path:
        """Raises MemoryError."""
        raise MemoryError


def test_a_failure_without_words_is_logged_too(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelUnavailableError):
        get(Catalog(Exhausted(Path(settings.models)), settings), "colour")
    assert "model colour not loaded: MemoryError" in caplog.text
