"""What a newcomer runs first: no site, no settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HOSPITALS = ["east", "north", "south", "west"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_learns_from_four_synthetic_hospitals(
    tmp_path: Path, fedthaw: Any, here: Any
) -> None:
    run = tmp_path / "demo"
    process = fedthaw.start("simulate", "--out", "demo")
    out, err = process.communicate(timeout=1740)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    made = f"No site folder given: making four synthetic hospitals in {tmp_path}/phantoms."
    assert err.splitlines()[0].startswith(made)
    assert "takes one to three minutes" in err.splitlines()[0]
    assert "Estimate: about " in err
    assert "; about " in err
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["sites"] == HOSPITALS
    assert summary["rounds"] == 24
    assert summary["pooled"]["auroc"] >= 0.9
    for word in [*HOSPITALS, "all sites", f"Run folder: {run}"]:
        assert word in out
    shown = here("simulate", "--out", run, "--resume", "--json")
    assert (shown.code, json.loads(shown.out)) == (0, summary)
