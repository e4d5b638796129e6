from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from server.federation.site_changes import warn_of_changes
from server.run.ledger import RoundRecord
from shared.run.events import Event, Warned, listening

MakeRecord = Callable[..., RoundRecord]


def changed(record: RoundRecord, **values: Any) -> RoundRecord:
    """The same round with other values of east."""
    east = dataclasses.replace(record.sites["east"], **values)
    return dataclasses.replace(record, sites={**record.sites, "east": east})


def said(record: RoundRecord, *earlier: RoundRecord) -> list[str]:
    heard: list[Event] = []
    with listening(heard.append):
        warn_of_changes(record, earlier)
    assert all(isinstance(event, Warned) for event in heard)
    return [event.text for event in heard if isinstance(event, Warned)]


def test_an_undisturbed_run_has_nothing_to_say(make_record: MakeRecord) -> None:
    assert said(make_record(1)) == []
    assert said(make_record(2), make_record(1)) == []


@pytest.mark.parametrize(
    ("images", "patients", "message"),
    [
        (19, 18, "19 images of 18 patients; in round 1 it was 20 images of 20 patients"),
        (1, 1, "1 images of 1 patients"),
    ],
)
def test_other_data_are_told_with_their_size_to_the_owner_alone(
    make_record: MakeRecord, images: int, patients: int, message: str
) -> None:
    now = changed(make_record(2), images=images, patients=patients)
    (text,) = said(now, make_record(1))
    assert text.startswith("east trains on ")
    assert message in text
    heard: list[Event] = []
    with listening(heard.append):
        warn_of_changes(now, [make_record(1)], for_others=True)
    (event,) = heard
    assert isinstance(event, Warned)
    assert event.text.startswith("east trains on other data than in round 1. Its training")
    assert "images" not in event.text


def test_a_site_that_was_away_is_compared_with_its_own_last_round(make_record: MakeRecord) -> None:
    second = make_record(2)
    without = dataclasses.replace(second, sites={"north": second.sites["north"]})
    third = changed(make_record(3), continued_from=1)
    assert said(third, make_record(1), without) == []


def test_a_lost_memory_is_told_unless_a_new_phase_begins_without_it(
    make_record: MakeRecord,
) -> None:
    forgetful = changed(make_record(2), continued_from=0)
    (text,) = said(forgetful, make_record(1))
    assert "east has lost its optimiser's state of round 1" in text
    fine_tuning = changed(make_record(11), continued_from=0)
    probe = make_record(10)
    assert probe.plan["phase"] != fine_tuning.plan["phase"]
    assert all("east" not in one for one in said(fine_tuning, probe))


def test_a_reply_that_was_not_used_is_no_memory_that_was_lost(make_record: MakeRecord) -> None:
    """East trained in round 2 and was refused, or its reply came too late."""
    second = make_record(2)
    without = dataclasses.replace(second, sites={"north": second.sites["north"]})
    third = changed(make_record(3), continued_from=2)
    (text,) = said(third, make_record(1), without)
    assert text.startswith("east went on from round 2, its training of which was not used; the run")
    assert "lost" not in text
