"""Typed values out of Flower's records."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.protocol.records import (
    MOST,
    PROTOCOL_VERSION,
    arrays_in,
    counts,
    flag,
    metrics_in,
    name,
    real,
    reals,
    settings_in,
    text,
    texts,
    whole,
)
from shared.wire.packing import pack


@pytest.mark.parametrize("value", ["north", "site-1", "A.b_c-9", "0", "x" * 128, "a..b"])
def test_plain_names(value: str) -> None:
    assert name(ConfigRecord({"site": value}), "site") == value


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "../../etc/passwd", "a/b", "/abs", "a\\b", "~", "-rf", ".hidden", "a b", "a\n",
     "a\0b", "[red]", "\x1b[2J", "naïve", "x" * 129],
)  # fmt: skip
def test_names_that_could_do_harm(value: str) -> None:
    with pytest.raises(ProtocolError, match=r"^'site' is not a plain name"):
        name(ConfigRecord({"site": value}), "site")


def test_records_by_name_and_kind() -> None:
    content = RecordDict(
        {
            "settings": ConfigRecord({"protocol": PROTOCOL_VERSION}),
            "metrics": MetricRecord({"a": 1}),
            "arrays": pack(ArrayRecord({"w": Array(np.ones(2, np.float32))})),
            "loose": ArrayRecord({"w": Array(np.ones(2, np.float32))}),
        }
    )
    assert settings_in(content, "settings") is content["settings"]
    assert metrics_in(content, "metrics") is content["metrics"]
    assert arrays_in(content, "arrays") == content["loose"]
    for wrong in ("absent", "metrics", "arrays"):
        with pytest.raises(ProtocolError, match=f"no record '{wrong}'"):
            settings_in(content, wrong)
    for wrong in ("absent", "settings", "arrays"):
        with pytest.raises(ProtocolError, match=f"no metrics '{wrong}'"):
            metrics_in(content, wrong)
    for wrong in ("absent", "settings", "metrics"):
        with pytest.raises(ProtocolError, match=f"no tensors '{wrong}'"):
            arrays_in(content, wrong)
    with pytest.raises(ProtocolError, match="the message's tensors are not packed"):
        arrays_in(content, "loose")


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(0, "protocol 0"), (8, "protocol 8"), (10, "protocol 10")]
    + [(one, "another protocol") for one in ("9", "\x1b[2J" * 100, [5] * 999, 4.0, True, None)],
)
def test_another_protocol(version: Any, spoken: str) -> None:
    """What is no number is not shown: it goes to the coordinator's terminal."""
    record = ConfigRecord() if version is None else ConfigRecord({"protocol": version})
    sentence = f"is of {spoken}, this program of {PROTOCOL_VERSION}; install the same fedthaw"
    with pytest.raises(ProtocolError, match=re.escape(sentence)):
        settings_in(RecordDict({"settings": record}), "settings")


def test_values_of_the_right_type() -> None:
    record = ConfigRecord(
        {"t": "text", "f": True, "ts": ["a", "b"], "e": [], "r": [0.0, 1.5], "i": [0, 2], "w": 3}
    )
    assert text(record, "t") == "text"
    assert flag(record, "f") is True
    assert texts(record, "ts") == ["a", "b"]
    assert texts(record, "e") == []
    assert reals(record, "r") == [0.0, 1.5]
    assert reals(record, "i") == [0.0, 2.0]
    assert whole(record, "w", minimum=3) == 3
    assert real(record, "w") == 3.0
    assert counts(MetricRecord({"c": [0, 5]}), "c", 2, 5) == [0, 5]


def test_texts_may_be_shown() -> None:
    for value in ("", "sha256:ab", "Grüße, \\ [red]", "x" * 500):
        assert text(ConfigRecord({"t": value}), "t") == value


@pytest.mark.parametrize(
    "value", ["x" * 501, "a\nb", "a\r", "\x1b[2J", "a\0", "a\u2028b", "\u202e"]
)
def test_texts_that_could_do_harm(value: str) -> None:
    with pytest.raises(ProtocolError, match="'t' is not printable text of at most 500 characters"):
        text(ConfigRecord({"t": value}), "t")


@pytest.mark.parametrize("value", [[-1.0], [float("nan")], [float("inf")], [True], ["1"]])
def test_lists_of_numbers_are_finite_and_not_negative(value: list[float]) -> None:
    with pytest.raises(ProtocolError, match="'r' holds something that is not a finite"):
        reals(ConfigRecord({"r": value}), "r")


@pytest.mark.parametrize("value", [2, True, 3.0, "3", [3]])
def test_whole_numbers_have_a_minimum(value: object) -> None:
    record = ConfigRecord({"w": value})  # type: ignore[dict-item]  # what a peer might send
    with pytest.raises(ProtocolError, match="'w' is missing or not an integer of at least 3"):
        whole(record, "w", minimum=3)


@pytest.mark.parametrize("value", [[1], [1, 2, 3], [1, -1], [0.5, 1.0]])
def test_counts_have_a_length_and_are_counts(value: list[int]) -> None:
    with pytest.raises(ProtocolError, match=r"^'c' "):
        counts(MetricRecord({"c": value}), "c", 2, 9)


def test_counts_have_a_maximum() -> None:
    with pytest.raises(ProtocolError, match="'c' holds a count above 4"):
        counts(MetricRecord({"c": [0, 5]}), "c", 2, 4)


@pytest.mark.parametrize("value", [1.1e12, 1e308, 2**63])
def test_numbers_whose_sums_would_not_be_finite(value: float) -> None:
    with pytest.raises(ProtocolError, match="at most 1e\\+12 is possible"):
        real(MetricRecord({"r": value}), "r")
    assert real(MetricRecord({"r": MOST}), "r") == MOST
