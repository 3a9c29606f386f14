"""Where memory is bounded, models come and go, and no call is refused or answered wrongly."""

import gc
import random
import re
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tiny_models import LABELS, picture, write_colour_model
from zeropoint.artifact import open_repository
from zeropoint.catalog import Catalog
from zeropoint.errors import InvalidError, ModelUnavailableError
from zeropoint.instances import Blob
from zeropoint.metrics import Metrics
from zeropoint.settings import Settings

NAMES = [f"model{n}" for n in range(5)]


def catalog_for(repository: Path, models: float, metrics: Metrics | None = None) -> Catalog:
    """Returns a catalog of `NAMES` with room for some of them."""
    for name in NAMES:
        write_colour_model(repository, name)
    size_bytes = (repository / NAMES[0] / "model.onnx").stat().st_size
    settings = Settings(
        models=str(repository), model=NAMES[0], max_loaded_bytes=int(models * size_bytes)
    )
    return Catalog(open_repository(settings), settings, metrics)


def soon() -> float:
    return time.monotonic() + 10.0


def call(catalog: Catalog, name: str) -> None:
    with catalog.use(name, soon()):
        pass


def states(catalog: Catalog) -> list[str]:
    return [catalog.state(name) for name in NAMES]


def test_the_least_recently_used_model_makes_room(tmp_path: Path) -> None:
    catalog = catalog_for(tmp_path, 2.5)
    for name in ("model0", "model1", "model0", "model2"):
        call(catalog, name)
    assert states(catalog) == ["ready", "evicted", "ready", "absent", "absent"]
    call(catalog, "model1")
    assert states(catalog) == ["evicted", "ready", "ready", "absent", "absent"]


def test_a_model_in_use_stays(tmp_path: Path) -> None:
    catalog = catalog_for(tmp_path, 2.0)
    with catalog.use("model0", soon()) as model:
        for name in ("model1", "model2"):
            call(catalog, name)
        assert states(catalog) == ["ready", "evicted", "ready", "absent", "absent"]
        assert catalog.loaded("model0") is model


def test_a_load_waits_for_the_last_user_and_newcomers_for_the_load(tmp_path: Path) -> None:
    catalog = catalog_for(tmp_path, 1.0)
    with ThreadPoolExecutor(2) as pool:
        with catalog.use("model0", soon()):
            other = pool.submit(call, catalog, "model1")
            again = None
            while not (slot := catalog._slots["model0"]).leaving:
                assert slot.model
            again = pool.submit(call, catalog, "model0")
            assert not other.done()
        other.result(10.0)
        again.result(10.0)
    assert sorted(states(catalog)[:2]) == ["evicted", "ready"]


def test_a_caller_gets_no_later_than_its_deadline_that_there_is_no_room(tmp_path: Path) -> None:
    catalog = catalog_for(tmp_path, 1.0)
    with catalog.use("model0", soon()):
        for name in ("model1", "model0"):  # the second, as it is leaving
            with (
                pytest.raises(ModelUnavailableError),
                catalog.use(name, time.monotonic() + 0.1),
            ):
                pass
    call(catalog, "model1")


def test_a_model_over_the_whole_room_is_refused_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_colour_model(tmp_path, "large", weights=True)
    catalog = catalog_for(tmp_path, 1.01)
    call(catalog, "model0")
    with pytest.raises(ModelUnavailableError):
        call(catalog, "large")
    assert catalog.state("large") == "failed"
    assert catalog.state("model0") == "ready"
    assert "ZEROPOINT_MAX_LOADED_BYTES" in caplog.text


def test_an_evicted_default_has_still_given_its_known_answer(tmp_path: Path) -> None:
    catalog = catalog_for(tmp_path, 1.0)
    call(catalog, "")
    call(catalog, "model1")
    assert catalog.start() == "evicted"
    assert catalog.state("model1") == "ready"
    call(catalog, "")


def test_nothing_keeps_an_evicted_model_not_even_its_last_refusal(tmp_path: Path) -> None:
    catalog = catalog_for(tmp_path, 1.0)
    gc.collect()
    gc.disable()
    try:
        with catalog.use("model0", soon()) as model:
            kept = weakref.ref(model)
            with pytest.raises(InvalidError):  # it goes as far as the session, which refuses it
                model.batcher.execute([{"input": np.zeros((1, 3, 8, 9), np.float32)}])
        del model
        call(catalog, "model1")
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("room", [1.0, 3.0])
def test_calls_of_more_models_than_there_is_room_for_are_all_answered_right(
    tmp_path: Path, room: float
) -> None:
    metrics = Metrics()
    catalog = catalog_for(tmp_path, room, metrics)
    size_bytes = (tmp_path / NAMES[0] / "model.onnx").stat().st_size

    def loaded() -> int:
        return sum(busy.size_bytes for busy in metrics.watch())

    def one(seed: int) -> bool:
        chance = random.Random(seed)  # noqa: S311 - a choice, no secret
        label = chance.choice(LABELS)
        with catalog.use(chance.choice(NAMES), soon()) as model:
            (found,) = model.answer([Blob(picture(label))]).predictions
        return bool(found["label"] == label and loaded() <= room * size_bytes)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(200)))
    evicted = re.search(r"^zeropoint_evictions_total (\S+)", metrics.text().decode(), re.M)
    assert evicted
    assert float(evicted[1]) > 0
