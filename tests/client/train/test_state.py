from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from client.train.state import (
    KEPT_ROUNDS,
    NOTHING,
    SiteState,
    forget_moments,
    load_state,
    save_state,
)
from shared.errors import SiteError


def state_of(round_number: int, phase: str = "fine-tune") -> SiteState:
    value = float(round_number)
    return SiteState(
        round_number,
        phase,
        {"exp_avg/fc.weight": torch.full((1, 4), value), "step/fc.weight": torch.tensor(value)},
        {"layer4.0.bn1.running_mean": torch.full((4,), -value)},
        {
            "residual": {"layer4.0.conv1.weight": torch.full((4, 2), 0.1 * value)},
            "of another step": {"fc.bias": torch.tensor(-value)},
        },
    )


def numbers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def files_of_at_most(limit: int) -> Iterator[None]:
    """As on a full disk: the operating system refuses to write more into any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = state_of(7)
    save_state(tmp_path / "run" / "north", saved)
    loaded = load_state(tmp_path / "run" / "north", 8)
    assert (loaded.round, loaded.phase) == (7, "fine-tune")
    for stored, given in (
        (loaded.optimizer, saved.optimizer),
        (loaded.statistics, saved.statistics),
        *((loaded.update[part], held) for part, held in saved.update.items()),
    ):
        assert stored.keys() == given.keys()
        assert all(torch.equal(stored[key], given[key]) for key in given)


def test_a_state_without_tensors_is_a_state(tmp_path: Path) -> None:
    save_state(tmp_path, SiteState(2, "probe", {}, {}))
    assert load_state(tmp_path, 3) == SiteState(2, "probe", {}, {})


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    assert load_state(tmp_path / "missing", 5) is NOTHING
    assert not (tmp_path / "missing").exists()


def test_a_round_asked_twice_begins_from_the_same_state(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        save_state(tmp_path, state_of(number))
    assert load_state(tmp_path, 3).round == 2
    assert load_state(tmp_path, 4).round == 3
    assert load_state(tmp_path, 9).round == 3
    assert load_state(tmp_path, 1) is NOTHING
    before = load_state(tmp_path, 3)
    save_state(tmp_path, state_of(3))
    again = load_state(tmp_path, 3)
    assert again.round == before.round
    assert torch.equal(again.optimizer["exp_avg/fc.weight"], before.optimizer["exp_avg/fc.weight"])


@pytest.mark.parametrize("damage", ["empty", "short", "text"])
def test_a_damaged_state_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    for number in (4, 5):
        save_state(tmp_path, state_of(number))
    newest = tmp_path / "0005.safetensors"
    content = newest.read_bytes()
    newest.write_bytes({"empty": b"", "short": content[:-3], "text": b"no weights" * 40}[damage])
    assert load_state(tmp_path, 6).round == 4
    newest.unlink()
    newest.mkdir()
    assert load_state(tmp_path, 6).round == 4


def test_the_newest_rounds_are_kept(tmp_path: Path) -> None:
    for number in range(1, 8):
        save_state(tmp_path, state_of(number))
    assert KEPT_ROUNDS == 3
    assert numbers(tmp_path) == [f"{number:04d}.safetensors" for number in (5, 6, 7)]


def test_a_state_is_written_over_one_that_nobody_asks_for_again(tmp_path: Path) -> None:
    """Its place on the disk is taken over, and no tensor that was loaded from another changes."""
    for number in range(1, 5):
        save_state(tmp_path, state_of(number))
    before = load_state(tmp_path, 5)
    oldest = (tmp_path / "0002.safetensors").stat().st_ino
    save_state(tmp_path, state_of(5))
    assert (tmp_path / "0005.safetensors").stat().st_ino == oldest
    assert torch.equal(load_state(tmp_path, 6).update["residual"]["layer4.0.conv1.weight"],
                       state_of(5).update["residual"]["layer4.0.conv1.weight"])  # fmt: skip
    assert torch.equal(before.optimizer["exp_avg/fc.weight"], torch.full((1, 4), 4.0))


def test_a_round_that_is_asked_again_is_never_written_over_itself(tmp_path: Path) -> None:
    """Were it not finished, neither would be there."""
    save_state(tmp_path, state_of(1))
    save_state(tmp_path, state_of(2))
    with files_of_at_most(64), pytest.raises(SiteError):
        save_state(tmp_path, state_of(2, "probe"))
    assert load_state(tmp_path, 3).phase == "fine-tune"


def test_rounds_that_the_coordinator_went_back_on_are_dropped(tmp_path: Path) -> None:
    for number in range(1, 8):
        save_state(tmp_path, state_of(number))
    save_state(tmp_path, state_of(6, "probe"))
    assert numbers(tmp_path) == ["0005.safetensors", "0006.safetensors"]
    assert load_state(tmp_path, 9).phase == "probe"


def test_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "base.safetensors").write_text("mine")
    for number in range(1, 6):
        save_state(tmp_path, state_of(number))
    assert {"notes.txt", "base.safetensors"} <= set(numbers(tmp_path))


def test_a_full_disk_is_a_sentence_and_leaves_the_state_before(tmp_path: Path) -> None:
    save_state(tmp_path, state_of(1))
    with (
        files_of_at_most(64),
        pytest.raises(SiteError, match=r"round 2 cannot be written.*make room") as caught,
    ):
        save_state(tmp_path, state_of(2))
    assert str(tmp_path) not in caught.value.shareable
    assert numbers(tmp_path) == ["0001.safetensors"]
    assert load_state(tmp_path, 3).round == 1


def test_a_cache_that_is_no_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SiteError, match=r"cannot be written.*\[compute\] cache in site.toml"):
        save_state(tmp_path / "cache" / "run", state_of(1))


def test_after_the_last_round_only_statistics_are_kept(tmp_path: Path) -> None:
    for number in (3, 4, 5):
        save_state(tmp_path, state_of(number))
    forget_moments(tmp_path, load_state(tmp_path, 6))
    assert numbers(tmp_path) == ["0005.safetensors"]
    kept = load_state(tmp_path, 6)
    assert kept.optimizer == kept.update == {}
    assert torch.equal(
        kept.statistics["layer4.0.bn1.running_mean"],
        state_of(5).statistics["layer4.0.bn1.running_mean"],
    )


def test_without_statistics_nothing_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "north"
    for number in (1, 2):
        save_state(folder, SiteState(number, "probe", state_of(number).optimizer, {}))
    forget_moments(folder, load_state(folder, 3))
    assert not folder.exists()
    forget_moments(folder, load_state(folder, 3))


def test_nothing_is_written_beside_the_folder(tmp_path: Path) -> None:
    save_state(tmp_path / "run-1" / "north", state_of(1))
    assert [path.name for path in tmp_path.iterdir()] == ["run-1"]
    assert [path.name for path in (tmp_path / "run-1").iterdir()] == ["north"]
    assert numbers(tmp_path / "run-1" / "north") == ["0001.safetensors"]
