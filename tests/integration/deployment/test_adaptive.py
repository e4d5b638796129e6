"""schedule=adaptive between processes, of which one is killed for good while the stages train."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from server.report.read import read_report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATIENTS = 80
"""At each site: so many that the losses may be shown, so that the page says what was compared."""
DIES_IN = 4
"""One round of the probe, then nine; the coordinator decides after rounds 5 and 7."""


def test_a_site_that_dies_for_good(deploy: Callable[..., Any]) -> None:
    """The others go on; only rounds of the same sites are compared, and these end the run.

    The rates are so small that nothing can gain: what the first decision sees differ is the
    patients, of whom the dead site's are missing.
    """
    deployment = deploy(3, patients=PATIENTS)
    deployment.serve()
    north, east, west = deployment.sites
    seen = deployment.reachable(north) / "seen"
    fault = {"site": "north", "round": DIES_IN, "act": "wait", "seen": seen}
    dying = deployment.client(north, faults=fault)
    for site in (east, west):
        deployment.client(site)
    submitted = deployment.submit(
        schedule="adaptive", patience=2, rounds=9, min_sites=2, reconnect_wait=3,
        lr_head=1e-9, rates="layer4=1e-9", thaw_at="layer4=0",
    )  # fmt: skip
    deployment.wait(seen.exists, submitted)
    assert len(deployment.rounds()) == DIES_IN - 1
    dying.kill()
    said = deployment.finish(submitted)

    rounds = deployment.rounds()
    everybody, others = ["east", "north", "west"], ["east", "west"]
    before = DIES_IN - 1
    assert [sorted(one["sites"]) for one in rounds] == [everybody] * before + [others] * 6
    assert rounds[before]["refused"] == {"north": "its connection is lost for 3 s"}
    assert all(one["absent"] == ["north"] for one in rounds[before + 1 :])
    losses = [one["signals"]["refined_loss"] for one in rounds]
    assert None not in losses

    folder = deployment.run_folder()
    first, second = read_report(folder).stretches
    assert (first.first, first.last, second.first, second.last) == (4, 5, 6, 7)
    # Of round 5 two sites' patients, of round 3 all: nothing alike.
    assert (first.loss, first.before, first.cut) == (None, None, False)
    assert (second.loss, second.before, second.cut) == (losses[6], losses[4], True)
    assert "up to round 7 gained nothing" in said
    assert (first.comparable, second.comparable) == (False, True)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "ended after 9 of at most 10 rounds" in page
    assert page.count("not comparable") == 2  # both losses of the first decision
    assert "ends after round 9" in page

    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["rounds"] == 9
    assert summary["sites"] == others
    assert summary["end"]["sites"] == others
    assert summary["end"]["missing"] == {"north": "not connected"}
    assert summary["end"]["averaged_rounds"][1] == 9
    assert (folder / "model.safetensors").stat().st_size > 0
