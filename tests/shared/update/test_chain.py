"""The chain itself, with steps of these tests: order, state, what is checked and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.update import registry
from shared.update.chain import receive, send
from shared.update.step import Passage, Settings, Transform
from shared.wire.arrays import Arrays, manifest_of

UPDATE: Arrays = {"w": np.array([1, 2, 4], np.float32)}
MANIFEST = manifest_of(UPDATE)


def passage(**settings: Any) -> Passage:
    config = RunConfig(**({"update_steps": 11.0} | settings))
    return Passage(config, "run-1", 1, "north", frozenset())


def doubling(name: str, add: float, keeps: str = "") -> Transform:
    """Times two plus a number, and back; keeps how often it was passed."""

    def at_site(update: Arrays, state: Arrays, _: Passage) -> tuple[Arrays, Arrays]:
        times = state.get("times", np.zeros(1, np.float32)) + 1
        return {n: np.float32(2) * a + np.float32(add) for n, a in update.items()}, {"times": times}

    def at_coordinator(update: Arrays, _: Passage) -> Arrays:
        return {n: (a - np.float32(add)) / np.float32(2) for n, a in update.items()}

    def check(settings: Settings) -> None:
        if settings.update_dtype == "float16":
            raise ConfigError(f"{name} needs another update-dtype than float16.")

    return Transform(
        name=name, used=lambda settings: settings.update_clip != 7, words=lambda _: name,
        check=check, at_site=at_site, at_coordinator=at_coordinator, keeps=keeps,
    )  # fmt: skip


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (doubling("first", 1, keeps="first"), doubling("second", 10))
    monkeypatch.setattr(registry, "TRANSFORMS", steps)


@pytest.mark.usefixtures("two_steps")
def test_steps_are_passed_in_order_and_undone_in_reverse() -> None:
    record, _ = send(UPDATE, MANIFEST, {}, passage())
    np.testing.assert_array_equal(record["w"].numpy(), [16, 20, 28])
    np.testing.assert_array_equal(receive(record, MANIFEST, passage())["w"], UPDATE["w"])


@pytest.mark.usefixtures("two_steps")
def test_a_step_finds_its_own_state_again_and_no_other() -> None:
    _, state = send(UPDATE, MANIFEST, {}, passage())
    assert set(state) == {"first", "residual"}
    _, state = send(UPDATE, MANIFEST, state | {"of another": {}}, passage())
    assert state["first"]["times"] == 2
    assert set(state) == {"first", "residual"}


@pytest.mark.usefixtures("two_steps")
def test_settings_say_which_steps_there_are() -> None:
    record, state = send(UPDATE, MANIFEST, {}, passage(update_clip=7.0))
    np.testing.assert_array_equal(record["w"].numpy(), UPDATE["w"])
    assert set(state) == {"residual"}
    assert registry.in_words(RunConfig()) == "as int8, first, second"


@pytest.mark.usefixtures("two_steps")
def test_what_cannot_work_is_said_when_settings_are_read() -> None:
    with pytest.raises(ConfigError, match="first needs another update-dtype"):
        RunConfig(update_dtype="float16")
    RunConfig(update_dtype="float16", update_clip=7.0)


def test_names_are_unique() -> None:
    steps = (*registry.TRANSFORMS, registry.PACKING)
    assert len({step.name for step in steps}) == len(steps)
    kept = [step.keeps for step in steps if step.keeps]
    assert len(set(kept)) == len(kept)
    assert not {"optimizer", "statistics"} & set(kept)  # parts of a site's state file
