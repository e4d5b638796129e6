"""Sites with the default rules: what they take part in, and what they refuse, between processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Deploy = Callable[..., Any]


@pytest.fixture(scope="session")
def hospital_folders(
    write_site: Callable[..., Path], deployed_base: Path
) -> Callable[[Path], tuple[Path, ...]]:
    """Two sites of 32 patients, whose site.toml says nothing of rules."""

    def write(parent: Path, patients: int = 0) -> tuple[Path, ...]:
        more = f'weights = "{deployed_base}"'
        return tuple(
            write_site(parent, name, 32, seed=seed, more=more, policy="")
            for seed, name in enumerate(("north", "east"))
        )

    return write


def test_a_run_of_the_recipe_passes_and_the_attack_by_settings_does_not(deploy: Deploy) -> None:
    deployment = deploy()
    north = deployment.sites[0]
    deployment.serve()
    clients = deployment.clients()
    deployment.finish(
        deployment.submit("fine", rounds=1, augmentation="recipe", folds=5, fold=1, seed=2)
    )
    home = north / "federation"
    used = json.loads((home / "quota.json").read_text())
    assert (used["today"]["runs"], used["today"]["rounds"], used["today"]["queries"]) == (1, 2, 3)
    assert used["today"] == used["in_all"]
    assert used["today"]["seconds"] > 0
    blocks = json.loads((home / "kept" / "dealt.json").read_text())["blocks"]
    assert [len(block) for block in blocks] == [6, 6, 5, 5, 5, 5]
    ledger = deployment.rounds("fine")
    assert {name for line in ledger for name in line["sites"]} == {"north", "east"}

    attack = deployment.submit(
        "attack", optimizer="sgd", batch_size=100_000, sampling="shuffle", augmentation="none",
        dropout=0, schedule="full", batch_norm="frozen", folds=100, fold=7, round_timeout=20,
    )  # fmt: skip
    said = deployment.finish(attack, code=1)
    sentence = (
        "cannot take part: its owner's policy does not allow this: optimizers is adamw, adamw8bit "
        "and the run asks for optimizer=sgd; most-folds is 20 and the run asks for folds=100."
    )
    assert f"north {sentence}" in said
    assert f"east {sentence}" in said
    assert (
        "optimizers is adamw, adamw8bit and the run asks for optimizer=sgd" in clients["north"].said
    )
    assert deployment.rounds("attack") == []
    # Nothing was worked on, and so nothing was charged.
    assert json.loads((home / "quota.json").read_text()) == used
