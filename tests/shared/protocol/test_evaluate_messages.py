"""Evaluation: both messages through the wire, and every way to break them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from flwr.app import MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.model.resnet import MICRO
from shared.protocol.evaluate import (
    EvaluateReply,
    EvaluateRequest,
    Nearer,
    Scope,
)
from shared.protocol.histogram import (
    MOST_OF_A_SITE,
    histogram_from_metrics,
    histogram_to_values,
)
from shared.protocol.sent_model import NOTHING_SENT, SentModel
from shared.wire.arrays import to_record

Content = Callable[[RecordDict], RecordDict]
Damages = Callable[[RecordDict], Iterator[tuple[str, RecordDict]]]

MODEL = SentModel(
    number=5,
    thawed=("layer4", "head"),
    digests=("sha256:" + 64 * "a", "sha256:" + 64 * "b"),
    changed=("head",),
    whole=("layer4",),
    delta=to_record({"fc.bias": np.ones(1, np.float32)}),
)
REQUEST = EvaluateRequest(
    run="r1",
    base="sha256:ab",
    scope="validation",
    after_round=4,
    final=True,
    model=MODEL,
    nearer=Nearer(0.25, ("head",), to_record({"fc.bias": np.zeros(1, np.float32)})),
)
HISTOGRAM = Histogram.from_logits([-9, -1, 0.5, 0.5, 9], [0, 0, 1, 0, 1])
REPLY = EvaluateReply(site="north", histogram=HISTOGRAM, suppress=True, seconds=0.25)


@pytest.mark.parametrize("scope", ["validation", "test", "all"])
def test_the_request_survives_the_wire(scope: Scope, on_the_wire: Content) -> None:
    request = dataclasses.replace(REQUEST, scope=scope)
    assert EvaluateRequest.from_content(on_the_wire(request.to_content()), MICRO) == request


def test_the_reply_survives_the_wire(on_the_wire: Content) -> None:
    assert EvaluateReply.from_content(on_the_wire(REPLY.to_content())) == REPLY


def test_a_finished_model_needs_neither_thawed_stages_nor_tensors(on_the_wire: Content) -> None:
    request = dataclasses.replace(REQUEST, after_round=0, model=NOTHING_SENT, nearer=None)
    assert EvaluateRequest.from_content(on_the_wire(request.to_content()), MICRO) == request


def test_every_damage_is_refused(on_the_wire: Content, damaged: Damages) -> None:
    tried = []
    for what, content in damaged(REQUEST.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {EvaluateRequest.from_content(on_the_wire(content), MICRO)}")
        tried.append(what)
    for what, content in damaged(REPLY.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {EvaluateReply.from_content(on_the_wire(content))}")
        tried.append(what)
    fields = (
        "run",
        "base",
        "scope",
        "after-round",
        "thawed",
        "final",
        "site",
        "suppress",
        "seconds",
    )
    for field in (*fields, "positives", "negatives"):
        assert any(f"without {field}" in what for what in tried)
    assert "no record delta" in tried


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"scope": "training"}, "the scope is 'training', neither validation, test nor all"),
        (
            {"model": dataclasses.replace(MODEL, thawed=("layer9",))},
            "thawed names \\['layer9'\\]: Unknown",
        ),
        ({"nearer": Nearer(1.5, ("head",), to_record({}))}, "'share' is 1.5, above 1"),
        ({"run": "../../home"}, "'run' is not a plain name"),
    ],
)
def test_a_request_out_of_range(changed: dict[str, object], sentence: str) -> None:
    content = dataclasses.replace(REQUEST, **changed).to_content()  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match=sentence):
        EvaluateRequest.from_content(content, MICRO)


def test_a_reply_with_a_name_that_leaves_its_folder() -> None:
    content = dataclasses.replace(REPLY, site="../north").to_content()
    with pytest.raises(ProtocolError, match="'site' is not a plain name"):
        EvaluateReply.from_content(content)


@pytest.mark.parametrize(
    "positives",
    [[], [0] * (SCORE_BINS - 1), [0] * (SCORE_BINS + 1), [-1] + [0] * (SCORE_BINS - 1),
     [0.5] * SCORE_BINS, [MOST_OF_A_SITE + 1] + [0] * (SCORE_BINS - 1)],
    ids=["none", "too few", "too many", "negative", "no counts", "more than there are people"],
)  # fmt: skip
def test_counts_that_are_none(positives: list[int]) -> None:
    values = histogram_to_values(HISTOGRAM) | {"positives": positives}
    with pytest.raises(ProtocolError):
        histogram_from_metrics(MetricRecord({**values}))


def test_counts_that_are_some() -> None:
    values = histogram_to_values(HISTOGRAM)
    assert histogram_from_metrics(MetricRecord({**values})) == HISTOGRAM
