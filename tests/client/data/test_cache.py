from __future__ import annotations

import dataclasses
import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.data.cache import ImageCache
from client.imaging.facts import ImageFacts
from shared.errors import SiteError

DIGEST = "ab" + "0" * 62
FACTS = ImageFacts("DICOM", "MONOCHROME1", 12, 40, 50, view="AP", patient_id="Mü^7")
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache", 8, "pad")


def test_an_entry_without_all_facts_is_read_again(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier fedthaw kept it, which asked less of a header."""
    kept = {name: value for name, value in dataclasses.asdict(FACTS).items() if name != "view"}
    with monkeypatch.context() as earlier:
        earlier.setattr(dataclasses, "asdict", lambda facts: kept)
        cache.store(DIGEST, PIXELS, FACTS)
    assert cache.entry(DIGEST) is None
    cache.store(DIGEST, PIXELS, FACTS)
    assert cache.facts(DIGEST) == FACTS


def test_what_was_stored_is_loaded(cache: ImageCache, tmp_path: Path) -> None:
    assert cache.load(DIGEST) is None
    assert cache.facts(DIGEST) is None
    cache.store(DIGEST, PIXELS, FACTS)
    loaded = cache.load(DIGEST)
    assert loaded is not None
    np.testing.assert_array_equal(loaded, PIXELS)
    assert loaded.dtype == np.uint16
    assert cache.facts(DIGEST) == FACTS
    path = tmp_path / "cache" / "images" / "8-pad-v5" / "ab" / f"{DIGEST}.safetensors"
    assert path == cache.path(DIGEST)
    assert path.stat().st_mode & 0o077 == 0  # nobody else may read patients' pixels
    assert os.listdir(path.parent) == [path.name]


def test_size_and_fit_have_entries_of_their_own(cache: ImageCache) -> None:
    cache.store(DIGEST, PIXELS, FACTS)
    assert ImageCache(cache.folder, 8, "crop").load(DIGEST) is None
    assert ImageCache(cache.folder, 16, "pad").load(DIGEST) is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_is_trusted(cache: ImageCache, data: st.DataObject) -> None:
    cache.store(DIGEST, PIXELS, FACTS)
    path = cache.path(DIGEST)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    loaded, facts = cache.load(DIGEST), cache.facts(DIGEST)
    # A flipped bit in the spacing of the header may leave the entry what it was.
    assert loaded is None or np.array_equal(loaded, PIXELS)
    assert facts is None or facts == FACTS
    cache.store(DIGEST, PIXELS, FACTS)
    assert cache.facts(DIGEST) == FACTS


def test_only_old_leftovers_of_killed_processes_are_removed(cache: ImageCache) -> None:
    cache.remove_leftovers()  # before there is a folder
    cache.store(DIGEST, PIXELS, FACTS)
    folder = cache.path(DIGEST).parent
    elsewhere = ImageCache(cache.folder, 16, "crop").path(DIGEST).parent
    elsewhere.mkdir(parents=True)
    hours_ago = time.time() - 2 * 3600
    for path in (folder / "tmp1.partial", elsewhere / "tmp2.partial", cache.path(DIGEST)):
        path.touch()
        os.utime(path, (hours_ago, hours_ago))
    (folder / "tmp3.partial").touch()  # another process may be writing it
    cache.remove_leftovers()
    assert sorted(os.listdir(folder)) == sorted([cache.path(DIGEST).name, "tmp3.partial"])
    assert os.listdir(elsewhere) == []
    assert cache.facts(DIGEST) == FACTS


def test_an_entry_of_another_size_is_not_taken(cache: ImageCache) -> None:
    cache.store(DIGEST, PIXELS[:4, :4], FACTS)
    assert cache.load(DIGEST) is None


def test_full_disk_names_folder_and_remedy_and_leaves_nothing(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SiteError, match=r"cache .*cache cannot be written \(No space left") as it:
        cache.store(DIGEST, PIXELS, FACTS)
    assert "`cache` in [compute]" in str(it.value)
    assert os.listdir(cache.path(DIGEST).parent) == []


def test_a_cache_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SiteError, match="cannot be written"):
        ImageCache(tmp_path / "cache", 8, "pad").store(DIGEST, PIXELS, FACTS)
