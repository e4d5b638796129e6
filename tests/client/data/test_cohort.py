from __future__ import annotations

import pytest

from client.data.cohort import ClassCount, ClassCounts, Cohort, Radiograph

COHORT = Cohort(
    "north",
    (
        Radiograph("d1", "P2", 1, 2.0),
        Radiograph("d2", "P1", 0, None),
        Radiograph("d3", "P2", 1, None),
        Radiograph("d4", "P3", 0, 1.0),
    ),
)


def test_patients_are_sorted_and_carry_their_label() -> None:
    assert list(COHORT.patients().items()) == [("P1", 0), ("P2", 1), ("P3", 0)]


def test_counts() -> None:
    counts = COHORT.counts()
    assert counts == ClassCounts(
        (ClassCount("positive", patients=1, images=2), ClassCount("negative", 2, 2)), 3, 4
    )
    assert list(counts.to_json().items()) == [
        ("positive_patients", 1), ("negative_patients", 2),
        ("positive_images", 2), ("negative_images", 2),
    ]  # fmt: skip
    assert (counts.patients, counts.images) == (3, 4)


def test_subset_keeps_the_order() -> None:
    subset = COHORT.subset({"P3", "P2", "nobody"})
    assert [radiograph.digest for radiograph in subset.radiographs] == ["d1", "d3", "d4"]
    assert subset.site == "north"


def test_repr_hides_identifiers() -> None:
    text = f"{COHORT!r} {COHORT.radiographs!r}"
    assert "Cohort('north', 3 patients, 4 images)" in text
    assert not any(word in text for word in ("P1", "P2", "P3", "d1", "d2", "d3", "d4"))


def test_a_patient_has_one_label() -> None:
    with pytest.raises(ValueError, match="two labels") as caught:
        Cohort("north", (Radiograph("d1", "P1", 1, None), Radiograph("d2", "P1", 0, None)))
    assert "P1" not in str(caught.value)
