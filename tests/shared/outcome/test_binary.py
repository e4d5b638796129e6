"""The binary outcome against torch, scikit-learn's counting and the formats on disk and wire."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.metrics.summary import summarise, suppressed
from shared.outcome.binary import BINARY
from shared.outcome.counts import are_hidden, by_bin, from_named, shown_totals, totals
from shared.outcome.encoding import Encoding


@dataclass(frozen=True)
class Patient:
    bin: int
    label: int
    scores: tuple[float, ...] = ()


def count(bins: Sequence[int], labels: Sequence[int]) -> Histogram:
    return BINARY.count([Patient(*both) for both in zip(bins, labels, strict=True)])


PATIENTS = st.lists(
    st.tuples(st.integers(0, SCORE_BINS - 1), st.integers(0, 1)), min_size=1, max_size=50
)


def test_site_toml_messages_and_files_keep_their_names() -> None:
    assert [(one.label, one.word, one.counted_as) for one in BINARY.classes] == [
        (1, "positive", "positives"), (0, "negative", "negatives"),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.floats(-30, 30), st.integers(0, 1)), min_size=1, max_size=20))
def test_loss_and_activation_are_those_of_scikit_learn_and_torch(
    pairs: list[tuple[float, int]],
) -> None:
    logits, labels = zip(*pairs, strict=True)
    tensor = torch.tensor(logits, dtype=torch.float64)
    targets = torch.tensor([BINARY.target(label) for label in labels])
    probabilities = BINARY.probabilities(np.array(logits))
    np.testing.assert_allclose(probabilities, torch.sigmoid(tensor), rtol=1e-12)
    np.testing.assert_array_equal(BINARY.activation(tensor), torch.sigmoid(tensor))
    expected = log_loss(labels, np.clip(probabilities, 1e-300, None), labels=[0, 1])
    if max(map(abs, logits)) < 15:  # beyond, 1 - p has no digits left
        assert BINARY.loss(tensor, targets).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_loss_is_taken_in_float32_whatever_the_logits_are() -> None:
    logits = torch.tensor([3.0, -3.0], dtype=torch.bfloat16)
    loss = BINARY.loss(logits, torch.tensor([1.0, 0.0]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log1p(math.exp(-3)), rel=1e-6)


@given(PATIENTS)
def test_counts_go_through_their_names_and_back(patients: list[tuple[int, int]]) -> None:
    bins, labels = map(list, zip(*patients, strict=True))
    counts = count(bins, labels)
    named = by_bin(counts, "graded-")
    assert {key: sum(own) for key, own in named.items()} == {
        "graded-positives": labels.count(1), "graded-negatives": labels.count(0),
    }  # fmt: skip
    assert all(type(one) is int for own in named.values() for one in own)
    assert from_named(by_bin(counts), np.array) == counts
    assert totals(counts) == {"positives": labels.count(1), "negatives": labels.count(0)}
    assert (counts.patients, counts.totals) == (len(labels), tuple(totals(counts).values()))
    assert counts.by_bin.tolist() == np.bincount(bins, minlength=SCORE_BINS).tolist()


def test_what_is_hidden_has_no_totals() -> None:
    counts = count([3, 4, 5], [1, 1, 0])
    shown, hidden = summarise(counts).to_json(), suppressed().to_json()
    assert shown_totals(shown) == {"positive": 2, "negative": 1}
    assert not are_hidden(shown)
    assert are_hidden(hidden)


@given(PATIENTS, st.integers(0, 10**6))
def test_moved_counts_are_those_of_moved_patients(
    patients: list[tuple[int, int]], seed: int
) -> None:
    bins, labels = map(list, zip(*patients, strict=True))
    places = np.random.default_rng(seed).integers(0, SCORE_BINS, SCORE_BINS)
    moved = count(bins, labels).moved(places)
    assert moved == count([int(places[own]) for own in bins], labels)


def test_bins_that_there_are_not_are_refused() -> None:
    counts = count([3], [1])
    for wrong in (np.zeros(3, dtype=np.int64), np.full(SCORE_BINS, SCORE_BINS)):
        with pytest.raises(ValueError, match="new bins"):
            counts.moved(wrong)


def test_an_encoding_knows_its_values_and_no_other() -> None:
    encoding = Encoding(BINARY, (("moderate", "3"), ("no",)))
    found = [encoding.label_of(value) for value in ("moderate", "3", "no", "unknown", "")]
    assert found == [1, 1, 0, None, None]
    assert encoding.known == {"moderate", "3", "no"}
