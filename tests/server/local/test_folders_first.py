"""What is wrong with a folder is said before weights are fetched for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.study import ready
from server.training import weights

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for weights has begun to download them."""

    def fetched(*_: object, **__: object) -> None:
        pytest.fail("weights were fetched")

    monkeypatch.setattr(weights, "require_weights", fetched)
    monkeypatch.setattr(ready, "require_weights", fetched)


def test_the_folder_above_the_sites(
    here: Here, write_site: Callable[..., Path], tmp_path: Path
) -> None:
    """With the default weights, as somebody types it who forgets the sites' names."""
    write_site(tmp_path / "hospitals", "north")
    code, _, stderr = here("simulate", tmp_path / "hospitals", "--out", tmp_path / "run")
    assert code == 2
    assert "hospitals/site.toml is missing; folders in it have one (north)" in stderr


def test_a_site_of_a_study_without_its_images(
    here: Here, write_site: Callable[..., Path], tmp_path: Path
) -> None:
    sites = [write_site(tmp_path, name) for name in ("north", "east")]
    (sites[1] / "images").rename(tmp_path / "elsewhere")
    code, _, stderr = here("study", *sites, "--arms", "schedules", "--out", tmp_path / "study")
    assert code == 2
    assert f"{sites[1] / 'images'}" in stderr
