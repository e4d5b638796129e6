from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from client.workspace import open_workspace, training_samples
from server.run.ledger import read_rounds
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]


def test_pooled_data_is_one_node_with_the_same_validation_patients(
    three_sites: tuple[Path, ...], federated: MakeConfig, simulate: Simulate
) -> None:
    apart = federated("apart", validation_fraction=0.4)
    together = federated("together", validation_fraction=0.4, pooled=True, min_sites=1)
    federation, pooled = simulate(apart), simulate(together)
    assert pooled["sites"] == ["pooled"]
    for key in ("positives", "negatives"):
        assert pooled["pooled"][key] == federation["pooled"][key]
        assert federation["pooled"][key] == sum(s[key] for s in federation["site"].values())

    patients: list[tuple[str, str]] = []
    for index in range(len(three_sites)):
        workspace = open_workspace({"partition-id": index}, apart)
        patients += [sample.patient for sample in training_samples(workspace, apart).validation]
    one = open_workspace({"partition-id": 0}, together)
    samples = training_samples(one, together)
    assert [sample.patient for sample in samples.validation] == patients
    assert not {sample.patient for sample in samples.train} & set(patients)

    for split, whole in zip(
        read_rounds(Path(apart.out) / "ledger.jsonl"),
        read_rounds(Path(together.out) / "ledger.jsonl"),
        strict=True,
    ):
        assert whole.sites["pooled"].images == sum(s.images or 0 for s in split.sites.values())
        assert whole.sites["pooled"].patients == sum(s.patients or 0 for s in split.sites.values())


def test_two_pooled_sites_with_equal_patient_numbers_stay_apart(
    federated: MakeConfig, simulate: Simulate
) -> None:
    """All three sites call their patients P0, P1, ...; in the pool none may merge."""
    config = federated(pooled=True, min_sites=1, validation_fraction=0.5, rounds=1)
    summary = simulate(config)
    # Half of each class of 8, 10 and 12 patients: 2, 2 (2.5 is rounded to even) and 3.
    assert (summary["pooled"]["positives"], summary["pooled"]["negatives"]) == (7, 7)
    assert json.loads((Path(config.out) / "config.json").read_text())["config"]["pooled"] is True
