"""Images that are dealt to sites: none lost, none twice, in the shares that were asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from client.importing.deal import deal_images
from client.importing.labelled_images import LabelledImages
from shared.errors import SiteError


def _idx(values: NDArray[np.uint8]) -> bytes:
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def numbered(labels: list[int]) -> LabelledImages:
    """Each image's only pixel is its number."""
    pixels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1)
    return LabelledImages(pixels, np.array(labels, dtype=np.uint8))


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=200),
    sites=st.integers(1, 5),
    unequal=st.none() | st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
def test_each_picture_is_at_one_site_with_its_label(
    labels: list[int], sites: int, unequal: float | None, seed: int
) -> None:
    images = numbered(labels)
    try:
        dealt = deal_images(images, sites, unequal, seed)
    except SiteError:
        assume(False)
    found = [int(number) for one in dealt for number in one.pixels.flatten()]
    assert sorted(found) == list(range(len(labels)))
    for one in dealt:
        assert [labels[number] for number in one.pixels.flatten()] == one.labels.tolist()
    again = deal_images(images, sites, unequal, seed)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(dealt, again, strict=True))


def test_a_small_concentration_is_unequal_and_none_is_equal() -> None:
    images = numbered([0] * 100 + [1] * 100)
    equal = deal_images(images, 4, None, 0)
    assert [np.bincount(one.labels).tolist() for one in equal] == [[25, 25]] * 4
    unequal = deal_images(images, 4, 0.5, 0)
    shares = np.array([np.bincount(one.labels, minlength=2) for one in unequal])
    assert shares.sum(axis=0).tolist() == [100, 100]
    assert shares.max() > 50


def test_a_folder_for_each_site(tmp_path: Path, here: Callable[..., tuple[int, str, str]]) -> None:
    files = tmp_path / "images", tmp_path / "labels"
    files[0].write_bytes(_idx(np.zeros((40, 28, 28), np.uint8)))
    files[1].write_bytes(_idx(np.repeat(np.arange(2, dtype=np.uint8), 20)))
    code, said, _ = here("site", "import", tmp_path / "all", *files, "--sites", "2")
    assert code == 0
    assert said.count("20 images") == 2
    for site in ("site1", "site2"):
        assert len((tmp_path / "all" / site / "labels.csv").read_text().splitlines()) == 21
    files[1].write_bytes(_idx(np.array([0, 1, 2] + [3] * 37, dtype=np.uint8)))
    unequal = ("--sites", "2", "--unequal", "0.05")
    assert here("site", "import", tmp_path / "four", *files, *unequal)[0] == 0
    for site in ("site1", "site2"):  # also where a site has no image of a class
        text = (tmp_path / "four" / site / "site.toml").read_text()
        assert all(f'"{one}" = ["{one}"]' in text for one in range(4))
    code, _, error = here("site", "import", tmp_path / "no", *files, "--sites", "50")
    assert (code, "would have none" in error) == (2, True)
