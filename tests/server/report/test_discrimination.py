"""What the page says of an AUROC fits its confidence interval."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.report.discrimination import discrimination

LIMITS = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda two: (min(two), max(two)))


@pytest.mark.parametrize(
    ("auroc", "limits", "said"),
    [
        (0.89, (0.82, 0.94), "detected the flu with an AUROC of 0.89 (95 % CI 0.82 to 0.94)"),
        (
            0.61,
            (0.4, 0.785),
            "did not distinguish patients with the flu from those without it: its AUROC was 0.61 "
            "(95 % CI 0.40 to 0.79; chance is 0.5)",
        ),
        (
            0.3,
            (0.2, 0.45),
            "ranked patients with the flu below those without it: its AUROC was 0.30 (95 % CI 0.20 "
            "to 0.45), below chance. Check that all sites call the same outcome positive",
        ),
        # Three decimals where two would put the limit on the other side.
        (0.6, (0.5012, 0.7), "detected the flu with an AUROC of 0.60 (95 % CI 0.501 to 0.700)"),
        (
            0.75,
            None,
            "had an AUROC of 0.75; there are too few patients for a 95 % CI, so this says nothing "
            "yet",
        ),
    ],
)
def test_the_words_for_an_auroc(
    auroc: float, limits: tuple[float, float] | None, said: str
) -> None:
    assert discrimination(auroc, limits, "the flu") == said


@given(st.floats(0, 1), LIMITS)
def test_nothing_is_detected_by_an_interval_with_chance_in_it(
    auroc: float, limits: tuple[float, float]
) -> None:
    """By the limits as a reader sees them."""
    said = discrimination(auroc, limits, "it", advice=False)
    shown = re.search(r"CI ([0-9.]+) to ([0-9.]+)", said)
    assert shown is not None
    low, high = map(float, shown.groups())
    verdict = said.split(" ")[0]
    assert verdict == ("detected" if low > 0.5 else "ranked" if high < 0.5 else "did")
    assert (low, high) == pytest.approx(limits, abs=0.0051)
