from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.common.serde import recorddict_to_proto
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from client.workspace import open_workspace, training_samples
from server.report.page import run_page
from server.report.read import read_report
from server.run.ledger import read_rounds
from shared.errors import RunError
from shared.protocol.records import arrays_in
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
WriteSite = Callable[..., Path]
Check = Callable[..., tuple[NDArray[np.float64], NDArray[np.int64]]]


@pytest.fixture
def hard_sites(tmp_path: Path, write_site: WriteSite) -> list[Path]:
    """Sites whose classes are hard to tell apart, so that no metric is 0 or 1."""
    return [
        write_site(tmp_path / "hard", name, patients, seed=seed, contrast=4.0)
        for seed, (name, patients) in enumerate({"north": 20, "east": 26, "south": 34}.items(), 10)
    ]


def validation_patients(config: RunConfig, sites: list[Path]) -> dict[str, set[str]]:
    chosen = {}
    for index, site in enumerate(sites):
        workspace = open_workspace({"partition-id": index}, config)
        validation = training_samples(workspace, config).validation
        chosen[site.name] = {sample.radiograph.patient for sample in validation}
    return chosen


def test_the_summarys_metrics_are_those_of_the_raw_scores(
    hard_sites: list[Path], federated: MakeConfig, check_metrics: Check,
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:  # fmt: skip
    config = federated(sites=hard_sites, validation_fraction=0.5, lr_head=1e-2, lr_probe=1e-2)
    summary = simulate(config)
    chosen = validation_patients(config, hard_sites)
    model = Path(config.out) / "model.safetensors"
    scores, _ = check_metrics(summary["pooled"], model, hard_sites, chosen)
    # Half of 10, 13 and 17 patients a class: 5, 6 and 8, halves rounded to even.
    assert len(scores) == 2 * (5 + 6 + 8)
    assert 0 < np.sum(scores >= 0.5) < len(scores)
    for site in hard_sites:
        check_metrics(summary["site"][site.name], model, [site], chosen)


def test_a_site_below_its_own_limit_is_null_but_counts_in_the_pool(
    tmp_path: Path, write_site: WriteSite, federated: MakeConfig,
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:  # fmt: skip
    sites = [
        write_site(tmp_path / "sites", "open", 60, min_cell=2, seed=2),
        write_site(tmp_path / "sites", "shy", 20, seed=1),
        write_site(tmp_path / "sites", "small", 50, min_cell=2),
    ]
    settings = sites[1] / "site.toml"
    settings.write_text(settings.read_text().replace("min-cell = 1", "min-cell = 3"))
    config = federated(sites=sites, rounds=1, for_others=True)
    summary = simulate(config)
    assert summary["audience"] == "others"
    assert summary["site"]["shy"].keys() == summary["pooled"].keys()
    assert set(summary["site"]["shy"].values()) == {None}
    assert summary["site"]["open"]["positives"] == 6
    assert (summary["pooled"]["positives"], summary["pooled"]["negatives"]) == (13, 13)
    # Else the pooled counts minus those shown would be those of the site that shows none.
    assert set(summary["site"]["small"].values()) == {None}
    for record in read_rounds(Path(config.out) / "ledger.jsonl"):
        assert set(record.sites["shy"].metrics.values()) == {None}
        assert set(record.sites["small"].metrics.values()) == {None}
        assert record.sites["open"].metrics["negatives"] == 6


def test_in_a_simulation_its_owner_sees_every_site(
    tmp_path: Path, write_site: WriteSite, federated: MakeConfig,
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:  # fmt: skip
    sites = [write_site(tmp_path / "sites", name, 20, min_cell=9) for name in ("one", "two")]
    config = federated(sites=sites, rounds=1)
    summary = simulate(config)
    assert summary["audience"] == "owner"
    assert [site["positives"] for site in summary["site"].values()] == [2, 2]
    assert not (tmp_path / "releases.jsonl").exists()
    owners = run_page(read_report(Path(config.out)))
    assert "this page is for the owner of all of these sites" in owners
    others = read_report(Path(config.out), for_others=True)
    assert others.cohorts[0].pooled is None
    assert "this page is for the owner of" not in run_page(others)


def test_replies_hold_counts_and_nothing_of_a_patient(
    hard_sites: list[Path], federated: MakeConfig, simulate_watched: Callable[..., Any]
) -> None:
    config = federated(sites=hard_sites, batch_norm="local")
    _, traffic = simulate_watched(config)
    allowed = {
        "query": {"site": {"protocol", "name", "base", "images", "patients", "outcome", "data"}},
        "evaluate": {
            "report": {"protocol", "site", "suppress"},
            "metrics": {"positives", "negatives", "seconds"},
        },
        "train": {
            "report": {"protocol", "site", "round", "frozen", "suppress"},
            "metrics": {"positives", "negatives", "images", "patients", "steps", "loss",
                        "train-seconds", "evaluate-seconds", "peak-memory", "continued-from"},
        },
    }  # fmt: skip
    secrets = [site.name + "-" for site in hard_sites] + [".png", "labels.csv", str(config.out)]
    for site in hard_sites:
        secrets += [hashlib.sha256(f.read_bytes()).hexdigest() for f in site.rglob("*.png")]
    for reply in traffic.received:
        records = allowed[reply.metadata.message_type]
        found = {name: set(record) for name, record in reply.content.items() if name != "delta"}
        assert found == records
        for name in ("positives", "negatives"):
            for metrics in reply.content.metric_records.values():
                assert all(type(count) is int for count in metrics[name])
        sent = recorddict_to_proto(reply.content).SerializeToString()
        assert not any(secret.encode() in sent for secret in secrets)
    for message in traffic.sent + traffic.received:
        for name in message.content.array_records:
            tensors = list(arrays_in(message.content, name))
            assert "fc.weight" in tensors
            assert not any(
                key.endswith(("running_mean", "running_var", "_tracked")) for key in tensors
            )


def test_a_model_that_diverged_stops_the_run_with_its_reason(
    base_file: Path, tmp_path: Path, federated: MakeConfig,
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:  # fmt: skip
    state = load_file(base_file)
    state["conv1.weight"].fill_(1e38)
    save_file(state, tmp_path / "huge.safetensors")
    config = replace(federated(), weights=str(tmp_path / "huge.safetensors"))
    with pytest.raises(RunError, match=r"north: the model received has diverged; lower the run"):
        simulate(config)
