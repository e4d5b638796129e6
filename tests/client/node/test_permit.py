"""A site's quotas count each fold and seed as a run, whatever run number the coordinator gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client.node import permit as module
from client.node.approvals import approve
from client.node.home import SiteHome
from client.node.permit import permit
from client.policy.refusal import PolicyError
from shared.settings.config import RunConfig
from shared.settings.run_plan import approved_settings

DIGEST = "d" * 64
Ask = Callable[..., None]


@pytest.fixture
def ask(
    made_home: SiteHome, tmp_path: Path, write_site: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Ask:  # fmt: skip
    """A message of run 7 to a site that takes two runs a day."""
    folder = write_site(tmp_path, "north", 2, policy="runs-per-day = 2")
    monkeypatch.setattr(module, "approved_bundle", lambda *_: b"")
    approve(made_home, DIGEST, approved_settings(RunConfig(folds=5)))

    def send(kind: str = "train", **settings: Any) -> None:
        flat = RunConfig(folds=5, **settings).to_flat()
        run = SimpleNamespace(run_id=7, fab_hash=DIGEST, override_config=flat)
        permit(made_home, folder, run, kind, lambda: b"")  # type: ignore[arg-type]

    return send


def test_a_run_of_another_fold_or_seed_is_another_run_whatever_its_number(
    ask: Ask, made_home: SiteHome
) -> None:
    """A coordinator may say other settings of the same number each time that it is asked."""
    ask(fold=0)
    ask("evaluate", fold=0)
    ask(fold=0, round_timeout=77)  # as where it is continued with more patience
    ask(fold=1)
    with pytest.raises(PolicyError, match="runs-per-day is 2 and the run asks for number 3"):
        ask(fold=2)
    with pytest.raises(PolicyError, match="runs-per-day"):
        ask(fold=1, seed=4)
    ask(fold=1)
    used = json.loads(made_home.quota.read_text())
    assert used["today"] == {
        "runs": 2,
        "rounds": 4,
        "queries": 1,
        "seconds": used["today"]["seconds"],
    }
