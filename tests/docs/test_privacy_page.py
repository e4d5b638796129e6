"""docs/privacy.md names every field of every message, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, RecordDict

from server.disclosure.groups import is_few
from server.disclosure.register import FILE as REGISTER
from server.disclosure.rounding import decimals, rounded_count
from server.run.exact import FILE as EXACT
from shared.limits import MIN_CELL
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.paired import ContrastSums
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.metrics.paired import ClassSums, PairedSums
from shared.outcome.registry import parse_outcome
from shared.protocol.candidates import CandidatesReply, CandidatesRequest
from shared.protocol.compare import CompareReply, CompareRequest, CountRequest
from shared.protocol.contrasts import ContrastReply, ContrastRequest
from shared.protocol.counts import counts_to_values
from shared.protocol.describe import DescribeRequest, SiteDescription
from shared.protocol.evaluate import EvaluateReply, EvaluateRequest, Nearer
from shared.protocol.graded import Graded
from shared.protocol.sent_model import LackingReply, SentModel
from shared.protocol.train import TrainReply, TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round
from shared.wire.arrays import to_record

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"
HISTOGRAM = Histogram.from_logits([-1.0, 1.0], [0, 1])
GRADES = GradeCounts((1.0, 2.0), (0, 1), (1, 0))
DELTA = to_record({"fc.bias": np.ones(1, np.float32)})
MODEL = SentModel(1, ("head",), ("sha256:" + 64 * "0",), ("head",), (), DELTA)
NEARER = Nearer(0.5, ("head",), DELTA)
SUMS = PairedSums(ClassSums(), ClassSums(), pooled_positives=1, pooled_negatives=1)

MESSAGES: dict[str, tuple[list[RecordDict], list[RecordDict]]] = {
    "describe": (
        [DescribeRequest("r1").to_content()],
        [SiteDescription("north", "sha256:ab", 8, 7).to_content()],
    ),
    "train": (
        [TrainRequest("r1", "b", plan_round(RunConfig(), 1), ("x",), MODEL).to_content()],
        [
            LackingReply("north", ("head",)).to_content(),
            TrainReply(
                "north",
                1,
                "f",
                DELTA,
                8,
                7,
                1,
                0.5,
                HISTOGRAM,
                False,
                1.0,
                1.0,
                0,
                0,
                {"head": 0.1},
            ).to_content(),
        ],
    ),
    "evaluate": (
        [EvaluateRequest("r1", "b", "test", 1, True, MODEL, NEARER).to_content()],
        [EvaluateReply("north", HISTOGRAM, True, 1.0, Graded(GRADES, HISTOGRAM)).to_content()],
    ),
    "evaluate.candidates": (
        [CandidatesRequest("r1", "b", 1, ("head",), (0.0, 1.0), DELTA, MODEL).to_content()],
        [CandidatesReply("north", (HISTOGRAM,) * 2, True, 1.0).to_content()],
    ),
    "evaluate.compare": (
        [
            CompareRequest("r1", "test", (("r1",),), (), (HISTOGRAM,), GRADES).to_content(),
            CompareRequest(
                "r1", "test", (("r1",),), (("r2",),), (HISTOGRAM,), (HISTOGRAM,)
            ).to_content(),
        ],
        [CompareReply("north", SUMS).to_content()],
    ),
    "evaluate.count": (
        [CountRequest("r1", "test", ("r1", "r2")).to_content()],
        [EvaluateReply("north", HISTOGRAM, True, 0.0, Graded(GRADES, HISTOGRAM)).to_content()],
    ),
}


def sent(contents: list[RecordDict]) -> set[str]:
    """`record.field` of everything in these messages; tensors by their record alone.

    Without the number of a candidate, of which there are several.
    """
    return {
        name if isinstance(record, ArrayRecord) else f"{name}.{re.sub(r'^[0-9]+-', '', key)}"
        for content in contents
        for name, record in content.items()
        for key in record
    }


def described(title: str) -> tuple[set[str], set[str]]:
    """The fields that the page names under this title: to the site, and from it."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n### {title}\n")[1].split("\n#")[0]
    down, up = section.split("From the site:")
    records = r"`((?:[a-z]+\.[a-z-]+)|delta|start)`"
    return set(re.findall(records, down)), set(re.findall(records, up))


@pytest.mark.parametrize("title", MESSAGES)
def test_the_page_names_every_field_of_a_message_and_no_other(title: str) -> None:
    requests, replies = MESSAGES[title]
    assert described(title) == (sent(requests), sent(replies))


def test_the_page_names_what_other_outcomes_send_instead() -> None:
    instead = {
        f"metrics.{key}"
        for counts in (ClassCounts.empty(3, 3), LabelCounts.empty(2))
        for key in counts_to_values(counts)
    }
    text = PAGE.read_text(encoding="utf-8").split("\n### Other outcomes\n")[1].split("\n#")[0]
    assert set(re.findall(r"`(metrics\.[a-z-]+)`", text)) == instead


def test_the_page_names_what_a_comparison_of_other_outcomes_has_besides() -> None:
    outcome = parse_outcome("classes: a | b | c")
    contrasts = ((HISTOGRAM,) * 3,)
    request = ContrastRequest("r1", "test", (("r1",),), (("r2",),), (0, 1), contrasts, contrasts)
    reply = ContrastReply("north", ContrastSums(ClassSums(), 1))
    requests, replies = MESSAGES["evaluate.compare"]
    more = sent([request.to_content(outcome)]) - sent(requests)
    more |= sent([reply.to_content()]) - sent(replies)
    text = PAGE.read_text(encoding="utf-8").split("\n### Other outcomes\n")[1].split("\n#")[0]
    named = set(re.findall(r"`((?:compare|pooled|report)\.[a-z-]+)`", text))
    assert more == {"pooled.kept", "report.sums"} <= named
    every = sent(requests) | sent(replies) | more
    assert named <= every


def test_the_page_describes_every_message_that_there_is() -> None:
    protocol = PAGE.parents[1] / "shared" / "protocol"
    texts = [path.read_text(encoding="utf-8") for path in protocol.glob("*.py")]
    types = {
        found
        for text in texts
        for found in re.findall(r'^(?:MESSAGE|COUNT)_TYPE = "(.+)"', text, re.M)
    }
    assert types == set(MESSAGES) - {"describe"} | {"query"}
    written = {n for text in texts for n in re.findall(r"^class (\w+)", text, re.M)}
    assert {n for n in written if n.endswith(("Request", "Reply", "Description"))} == {
        "DescribeRequest", "SiteDescription", "TrainRequest", "TrainReply",
        "EvaluateRequest", "EvaluateReply", "CandidatesRequest", "CandidatesReply",
        "CompareRequest", "CompareReply", "CountRequest", "ContrastRequest", "ContrastReply",
        "LackingReply",
    }  # fmt: skip


def test_the_page_names_the_limits_that_the_code_has() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"`min-cell` in site.toml ({MIN_CELL})" in text
    assert f"counted in {SCORE_BINS} bins" in text


def test_the_page_says_what_is_shown_as_the_code_does_it() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    few = next(n for n in range(99) if not is_few([(n, n), (0, 0)], MIN_CELL))
    assert f"by fewer than {few} patients of a class" in text
    assert f"with {MIN_CELL} patients of each class together and one more for each hidden" in text
    assert f"{round(0.7642, decimals(163, 0.04))} of 163 patients" in text
    assert f"{round(0.7642, decimals(50, 0.04))} of 50" in text
    assert f"training images and patients are in steps of {rounded_count(1)}" in text
    for name in (EXACT, REGISTER):
        assert f"`{name}`" in text
