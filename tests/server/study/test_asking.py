"""Answers that are none: whose they are is said, and the study can be asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from flwr.app import Message, RecordDict

from server.study.asking import StudySites
from shared.errors import RunError
from shared.metrics.histogram import Histogram
from shared.metrics.paired import PairedSums, placements
from shared.protocol.compare import CompareReply
from shared.protocol.evaluate import EvaluateReply

BINS, LABELS = [10, 20, 30, 40], [0, 1, 0, 1]
OWN = Histogram.from_bins(BINS, LABELS)
SITES = StudySites(grid=SimpleNamespace(), nodes={"north": 1, "south": 2})  # type: ignore[arg-type]


def sums(pooled: Histogram, repeats: int = 1) -> RecordDict:
    one = [placements(pooled)] * repeats
    return CompareReply(
        "north", PairedSums.of_repeats([BINS] * repeats, [BINS] * repeats, LABELS, one, one)
    ).to_content()


def replied(content: RecordDict) -> Message:
    return Message(content, reply_to=Message(RecordDict(), dst_node_id=1, message_type="query"))


def answers(monkeypatch: pytest.MonkeyPatch, comparison: Sequence[RecordDict]) -> None:
    """Both sites count their four patients as they should, and compare like this."""

    def answer(
        _grid: object, contents: dict[int, RecordDict], question: object, **_: object
    ) -> object:
        counted = EvaluateReply("north", OWN, False, 0.0).to_content()
        asked = "compare" in question.message_type  # type: ignore[attr-defined]
        for node in contents:
            content = comparison[node - 1] if asked else counted
            yield node, replied(content)

    monkeypatch.setattr("server.federation.asking.send_and_collect", answer)


def test_a_count_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(
        _grid: object, contents: dict[int, RecordDict], _question: object, **_: object
    ) -> object:
        for node in contents:
            yield node, replied(RecordDict())

    monkeypatch.setattr("server.federation.asking.send_and_collect", empty)
    with pytest.raises(RunError, match="south answered otherwise than asked"):
        SITES.count(["run"], ["south"])


def test_sums_are_added_up_over_the_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [sums(OWN + OWN)] * 2)
    paired = SITES.compare([["a"]], [["b"]], ["north", "south"])
    assert paired is not None
    assert paired.means.difference == 0.0
    assert paired.areas[0] == pytest.approx((0.75, 0.75))


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (RecordDict(), "south answered otherwise than asked"),
        (sums(OWN + OWN, repeats=2), "south answered otherwise than asked"),
        (sums(OWN + OWN + OWN), "south answered otherwise than asked"),
    ],
)
def test_sums_that_are_none(
    monkeypatch: pytest.MonkeyPatch, second: RecordDict, sentence: str
) -> None:
    answers(monkeypatch, [sums(OWN + OWN), second])
    with pytest.raises(RunError, match=sentence):
        SITES.compare([["a"]], [["b"]], ["north", "south"])


def test_sums_of_other_patients_than_were_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    none = CompareReply("north", PairedSums.empty(placements(OWN + OWN))).to_content()
    answers(monkeypatch, [sums(OWN + OWN), none])
    with pytest.raises(RunError, match="north, south answered for other patients"):
        SITES.compare([["a"]], [["b"]], ["north", "south"])
