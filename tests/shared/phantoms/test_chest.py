"""Drawn chest radiographs: what is in them, and what tells the classes apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.phantoms import draw_chest

Images = NDArray[np.float32]


@pytest.fixture(scope="module")
def cohort() -> tuple[Images, NDArray[np.bool_]]:
    """160 images of 96 pixels, (160, 96, 96), and whether each shows the finding, (160,)."""
    findings = np.arange(160) % 2 == 1
    images = [
        draw_chest(np.random.default_rng([6, index]), 96, finding=bool(finding))
        for index, finding in enumerate(findings)
    ]
    return np.stack(images), findings


@given(seed=st.integers(0, 2**32), size=st.integers(32, 96), finding=st.booleans())
@settings(max_examples=25, deadline=None)
def test_any_draw_is_a_square_image_in_range(seed: int, size: int, finding: bool) -> None:
    image = draw_chest(np.random.default_rng(seed), size, finding=finding)
    assert image.shape == (size, size)
    assert image.dtype == np.float32
    assert image.min() >= 0.0
    assert image.max() <= 1.0
    assert image.std() > 0.05


def test_equal_generators_draw_equal_images_and_others_do_not() -> None:
    first, again, other = (
        draw_chest(np.random.default_rng(s), 64, finding=True) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02


def test_air_is_dark_and_the_mediastinum_brighter_than_the_lungs(
    cohort: tuple[Images, NDArray[np.bool_]],
) -> None:
    images, findings = cohort
    typical = images[~findings].mean(axis=0)
    air, spine = typical[42:54, :6].mean(), typical[36:66, 45:51].mean()
    right_lung, left_lung = typical[36:54, 27:36].mean(), typical[30:42, 63:70].mean()
    assert air < min(right_lung, left_lung)
    assert max(right_lung, left_lung) < spine - 0.15


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_the_finding_changes_the_lungs_and_nothing_else(seed: int) -> None:
    clear, diseased = (
        draw_chest(np.random.default_rng(seed), 96, finding=f) for f in (False, True)
    )
    change = np.abs(diseased - clear)
    rows, columns = np.nonzero(change > 0.05)
    assert 0.01 < len(rows) / change.size < 0.35
    assert change.max() > 0.1
    assert 10 <= rows.min() <= rows.max() <= 77
    assert 10 <= columns.min() <= columns.max() <= 85
    assert change[:8].max() < 0.01


def test_texture_of_the_lungs_shows_the_finding(
    cohort: tuple[Images, NDArray[np.bool_]],
) -> None:
    images, findings = cohort
    model = make_pipeline(StandardScaler(), LogisticRegression())
    features = np.array([_texture(image) for image in images])
    scores = cross_val_predict(model, features, findings, cv=5, method="decision_function")
    assert roc_auc_score(findings, scores) > 0.85


def test_brightness_alone_does_not_show_the_finding(
    cohort: tuple[Images, NDArray[np.bool_]],
) -> None:
    images, findings = cohort
    assert 0.25 < roc_auc_score(findings, images.mean(axis=(1, 2))) < 0.75
    assert 0.25 < roc_auc_score(findings, images.std(axis=(1, 2))) < 0.75


def test_a_size_too_small_to_hold_a_chest_raises() -> None:
    with pytest.raises(ValueError, match="31 pixels; it must be at least 32"):
        draw_chest(np.random.default_rng(0), 31, finding=True)


def _texture(image: Images) -> list[float]:
    """Curvature along the rows in each lung: ribs run along them, opacities and cysts do not.

    The median leaves out the few pixels of a wire or of the edge of the heart.
    """
    across = ndimage.gaussian_filter1d(ndimage.gaussian_filter(image, 0.9), 0.9, axis=1, order=2)
    curvature = np.abs(ndimage.gaussian_filter1d(across, 0.9, axis=0))[30:60]
    return [float(np.log(np.median(curvature[:, lung]))) for lung in (slice(27, 39), slice(60, 75))]
