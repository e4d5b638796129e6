"""Losses, probabilities and counts of the outcomes against torch, scikit-learn and slow loops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss
from torch.nn.functional import cross_entropy

from shared.errors import ConfigError
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import bin_of_probability
from shared.outcome.binary import BINARY
from shared.outcome.classes import ClassesOutcome
from shared.outcome.encoding import LabelColumn, LabelsEncoding
from shared.outcome.labels import ABSENT, MISSING, PRESENT, LabelsOutcome
from shared.outcome.ordinal import OrdinalOutcome
from shared.outcome.outcome import Outcome
from shared.outcome.registry import MOST_LABELS, parse_outcome

NOMINAL = ClassesOutcome(("none", "mild", "severe"))
ORDINAL = OrdinalOutcome(NOMINAL.names)
LABELS = LabelsOutcome(("effusion", "oedema", "fracture"))
LOGITS = st.lists(st.tuples(*[st.floats(-20, 20)] * 3, st.integers(0, 26)), min_size=1, max_size=12)


@dataclass(frozen=True)
class Patient:
    label: int
    scores: tuple[float, ...]
    bin: int = 0


def split(rows: list[tuple[float, float, float, int]], outcome: Outcome) -> tuple[
    np.ndarray, list[int], torch.Tensor
]:  # fmt: skip
    logits = np.array([row[: outcome.outputs] for row in rows], dtype=np.float64)
    most = 27 if outcome == LABELS else 3
    labels = [row[3] % most for row in rows]
    return logits, labels, torch.tensor([outcome.target(label) for label in labels])


@settings(deadline=None)
@given(LOGITS)
def test_nominal_loss_and_softmax(rows: list[tuple[float, float, float, int]]) -> None:
    logits, labels, targets = split(rows, NOMINAL)
    found = NOMINAL.loss(torch.tensor(logits), targets)
    probabilities = NOMINAL.probabilities(logits)
    wanted = log_loss(labels, np.clip(probabilities, 1e-300, None), labels=[0, 1, 2])
    if np.abs(logits).max() < 8:
        assert found.item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert found.item() == pytest.approx(
        cross_entropy(torch.tensor(logits).float(), torch.tensor(labels)).item(), rel=1e-4, abs=1e-5
    )
    exported = NOMINAL.activation(torch.tensor(logits))
    np.testing.assert_allclose(probabilities, exported, atol=1e-12)
    for own in probabilities:
        assert NOMINAL.predicted(own.tolist()) == int(np.argmax(own))
        assert NOMINAL.by_name(own.tolist()) == tuple(own.tolist())


@settings(deadline=None)
@given(LOGITS)
def test_cumulative_probabilities_never_ascend(rows: list[tuple[float, float, float, int]]) -> None:
    logits, labels, targets = split(rows, ORDINAL)
    above = ORDINAL.probabilities(logits)
    assert (np.diff(above, axis=1) <= 0).all()
    # A slow loop: the binary cross-entropy of each threshold.
    total = 0.0
    for own, label in zip(logits, labels, strict=True):
        first = own[0]
        second = first - math.log1p(math.exp(own[1]))
        for n, logit in enumerate((first, second)):
            sign = 1 if label > n else -1
            total += float(np.logaddexp(0, -sign * logit))
    found = ORDINAL.loss(torch.tensor(logits), targets)
    assert found.item() == pytest.approx(total / len(rows) / 2, rel=1e-4, abs=1e-5)
    exported = ORDINAL.activation(torch.tensor(logits)).numpy()
    for own, classes in zip(above, exported, strict=True):
        named = ORDINAL.by_name(own.tolist())
        assert min(named) >= 0
        assert sum(named) == pytest.approx(1)
        np.testing.assert_allclose(named, classes, atol=1e-12)
        assert ORDINAL.predicted(own.tolist()) == sum(p >= 0.5 for p in own)


@settings(deadline=None)
@given(LOGITS)
def test_labels_that_are_missing_give_no_loss(rows: list[tuple[float, float, float, int]]) -> None:
    logits, labels, targets = split(rows, LABELS)
    own = torch.tensor(logits, requires_grad=True)
    found = LABELS.loss(own, targets)
    each = []
    for scores, label in zip(logits, labels, strict=True):
        for logit, digit in zip(scores, LABELS.digits(label), strict=True):
            if digit != MISSING:
                each.append(np.logaddexp(0, -logit if digit == PRESENT else logit))
    assert found.item() == pytest.approx(sum(each) / max(len(each), 1), rel=1e-4, abs=1e-5)
    found.backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    for row, label in zip(own.grad, labels, strict=True):
        for gradient, digit in zip(row.tolist(), LABELS.digits(label), strict=True):
            assert (gradient == 0) >= (digit == MISSING)


def test_a_mixed_image_counts_for_a_label_by_the_share_that_is_known() -> None:
    """0.7 of an image with the label, 0.3 of one of which it is not known."""
    one = LabelsOutcome(("effusion",))
    parts = [torch.tensor([one.target(one.label_of([digit]))]) for digit in (PRESENT, MISSING)]
    mixed = 0.7 * parts[0] + 0.3 * parts[1]
    logits = torch.tensor([[0.4], [-1.0]])
    both = torch.cat([mixed, torch.tensor([one.target(one.label_of([ABSENT]))])])
    wanted = (0.7 * math.log1p(math.exp(-0.4)) + math.log1p(math.exp(-1.0))) / 1.7
    assert one.loss(logits, both).item() == pytest.approx(wanted, rel=1e-5)
    assert one.loss(logits[:, 0], both).item() == pytest.approx(wanted, rel=1e-5)


@given(st.lists(st.sampled_from([MISSING, ABSENT, PRESENT]), min_size=1, max_size=MOST_LABELS))
def test_a_patients_labels_are_one_integer(digits: list[int]) -> None:
    outcome = LabelsOutcome(tuple(f"l{n}" for n in range(len(digits))))
    label = outcome.label_of(digits)
    assert 0 <= label < 2**53  # exact in any file
    assert list(outcome.digits(label)) == digits
    assert outcome.is_label(label) == any(digits)
    held = [one.label for one in outcome.classes if outcome.holds(label, one)]
    assert held == [2 * n + (d == ABSENT) for n, d in enumerate(digits) if d != MISSING]


def test_rows_of_a_patient_add_to_each_other_unless_they_contradict() -> None:
    rows = [(PRESENT, MISSING, ABSENT), (MISSING, ABSENT, ABSENT), (PRESENT, PRESENT, MISSING)]
    labels = [LABELS.label_of(row) for row in rows]
    both = LABELS.merged(labels[:2])
    assert both is not None
    assert LABELS.digits(both) == (PRESENT, ABSENT, ABSENT)
    assert LABELS.merged(labels) is None
    assert (NOMINAL.merged([1, 1]), NOMINAL.merged([1, 2])) == (1, None)


@settings(deadline=None, max_examples=30)
@given(LOGITS)
def test_what_is_counted(rows: list[tuple[float, float, float, int]]) -> None:
    for outcome in (NOMINAL, ORDINAL, LABELS):
        logits, labels, _ = split(rows, outcome)
        scores = outcome.probabilities(logits)
        patients = [
            Patient(label, tuple(own.tolist())) for label, own in zip(labels, scores, strict=True)
        ]
        counts = outcome.count(patients)
        bins = bin_of_probability(scores)
        if isinstance(counts, ClassCounts):
            called = [outcome.predicted(one.scores) for one in patients]
            wanted = confusion_matrix(labels, called, labels=[0, 1, 2])
            np.testing.assert_array_equal(counts.confusion, wanted)
            for s in range(outcome.outputs):
                assert counts.scores[s].sum(axis=0).tolist() == (
                    np.bincount(bins[:, s], minlength=counts.scores.shape[2]).tolist()
                )
        else:
            assert isinstance(counts, LabelCounts)
            digits = [LABELS.digits(label) for label in labels]
            for n, (present, absent) in enumerate(counts.support):
                own_digits = [own[n] for own in digits]
                assert (present, absent) == (own_digits.count(2), own_digits.count(1))
        assert outcome.count([]) == outcome.empty()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("binary", "binary"),
        (" classes:none|mild |severe", "classes: none | mild | severe"),
        ("ordinal: 0 | 1", "ordinal: 0 | 1"),
        ("labels: effusion", "labels: effusion"),
        ("classes: Erguß | COVID-19 | grade 2", "classes: Erguß | COVID-19 | grade 2"),
    ],
)
def test_settings_name_outcomes(text: str, canonical: str) -> None:
    outcome = parse_outcome(text)
    assert str(outcome) == canonical
    assert parse_outcome(canonical) == outcome
    assert (outcome == BINARY) == (canonical == "binary")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it must be binary, or such as"),
        ("kinds: a | b", "outcome is 'kinds: a | b'"),
        ("classes", "outcome is 'classes'"),
        ("classes: a", r"2 to 20 classes; here are 1 \(a\)"),
        ("ordinal: " + " | ".join(f"c{n}" for n in range(21)), "2 to 20 classes; here are 21"),
        ("labels: " + " | ".join(f"c{n}" for n in range(33)), "1 to 32 labels; here are 33"),
        ("classes: a | | b", "'' cannot be one of the outcome's classes"),
        ("labels: a/b", "'a/b' cannot be one of the outcome's labels"),
        ("classes: mild | Mild", "'mild' and 'Mild' have the same name"),
        ("classes: a | " + "b" * 41, "1 to 40 letters"),
        ("classes: a | b\n", ""),
    ],
)
def test_what_is_no_outcome(text: str, why: str) -> None:
    if not why:  # blanks around a name are no part of it
        assert parse_outcome(text).names == ("a", "b")
        return
    with pytest.raises(ConfigError, match=why):
        parse_outcome(text)


def test_a_row_of_labels() -> None:
    encoding = LabelsEncoding(
        LABELS,
        (
            LabelColumn("a", ("1",), ("0",)),
            LabelColumn("b", ("yes", "1"), ("no",)),
            LabelColumn("c", ("1",), ("0",)),
        ),
    )
    label = encoding.label_of_row(["1", "", "maybe"])
    assert label is not None
    assert LABELS.digits(label) == (PRESENT, MISSING, MISSING)
    assert encoding.unknown(["1", "", "maybe"]) == ("fracture maybe",)
    assert encoding.label_of_row(["", "", "maybe"]) is None
    assert encoding.known == {"0", "1", "yes", "no"}
