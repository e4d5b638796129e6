"""Answers that are none: whose they are is said, and the study can be asked for again."""

from __future__ import annotations

import pytest
from flwr.app import Context, Message, RecordDict

from server.simulation.grid import InProcessGrid, site_contexts
from server.study.asking import StudySites
from shared.errors import RunError
from shared.metrics.histogram import Histogram
from shared.metrics.paired import PairedSums, placements
from shared.protocol.compare import CompareReply
from shared.protocol.evaluate import EvaluateReply
from shared.settings.config import RunConfig

BINS, LABELS = [10, 20, 30, 40], [0, 1, 0, 1]
OWN = Histogram.from_bins(BINS, LABELS)
COUNTED = EvaluateReply("north", OWN, False, 0.0).to_content()


def sites(*comparison: RecordDict, counted: RecordDict = COUNTED) -> StudySites:
    """Both sites count their four patients as they should, and compare like this."""

    def answer(message: Message, context: Context) -> Message:
        compares = "compare" in message.metadata.message_type
        content = comparison[context.node_id - 1001] if compares else counted
        return Message(content, reply_to=message)

    grid = InProcessGrid(answer, site_contexts(RunConfig(), 2))
    return StudySites(grid, dict(zip(("north", "south"), grid.get_node_ids(), strict=True)))


def sums(pooled: Histogram, repeats: int = 1) -> RecordDict:
    one = [placements(pooled)] * repeats
    return CompareReply(
        "north", PairedSums.of_repeats([BINS] * repeats, [BINS] * repeats, LABELS, one, one)
    ).to_content()


def test_a_count_that_cannot_be_read() -> None:
    with pytest.raises(RunError, match="south answered otherwise than asked"):
        sites(counted=RecordDict()).count(["run"], ["south"])


def test_sums_are_added_up_over_the_sites() -> None:
    paired = sites(*[sums(OWN + OWN)] * 2).compare([["a"]], [["b"]], ["north", "south"])
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
def test_sums_that_are_none(second: RecordDict, sentence: str) -> None:
    with pytest.raises(RunError, match=sentence):
        sites(sums(OWN + OWN), second).compare([["a"]], [["b"]], ["north", "south"])


def test_sums_of_other_patients_than_were_counted() -> None:
    none = CompareReply("north", PairedSums.empty(placements(OWN + OWN))).to_content()
    with pytest.raises(RunError, match="north, south answered for other patients"):
        sites(sums(OWN + OWN), none).compare([["a"]], [["b"]], ["north", "south"])
