from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.train import eight_bits
from server.local.evaluation import evaluate
from shared.errors import ConfigError, SiteError
from shared.run.events import Event, Warned, listening
from shared.run.finished import LOCAL_STATISTICS
from shared.settings.config import RunConfig


def evaluated(run: Path, site: Path) -> tuple[str, dict[str, Any]]:
    """Name and metrics of one cohort, of which nothing is written."""
    (one,) = evaluate(run, [site], write=False).result.cohorts
    assert one.performance is not None
    return one.name, one.performance.metrics.to_json()


MakeConfig = Callable[..., RunConfig]
WriteSite = Callable[..., Path]


@pytest.fixture
def finished(federated: MakeConfig, simulate: Callable[[RunConfig], dict[str, Any]]) -> Path:
    config = federated(rounds=1)
    simulate(config)
    return Path(config.out)


@pytest.mark.parametrize("name", ["west", "a:b"])
def test_an_external_site_is_evaluated_with_all_its_patients(
    tmp_path: Path, write_site: WriteSite, finished: Path, check_metrics: Callable[..., Any],
    name: str,
) -> None:  # fmt: skip
    parent = tmp_path / name
    site = write_site(parent, "west", 17, seed=3, contrast=4.0, min_cell=99)
    before = set(finished.rglob("*"))
    found, metrics = evaluated(finished, site)
    assert found == "west"
    check_metrics(metrics, finished / "model.safetensors", [site])
    assert set(finished.rglob("*")) == before


def test_an_external_site_with_a_base_of_its_own_gets_the_final_model(
    tmp_path: Path, write_site: WriteSite, base_file: Path, finished: Path
) -> None:
    """`weights` in site.toml names the site's copy of the base, not of the final model."""
    plain = write_site(tmp_path / "plain", "west", 12, seed=3)
    own = write_site(tmp_path / "own", "west", 12, seed=3, more=f'weights = "{base_file}"')
    assert evaluated(finished, own) == evaluated(finished, plain)


def test_an_external_site_of_one_class_has_no_auroc(
    tmp_path: Path, write_site: WriteSite, finished: Path
) -> None:
    site = write_site(tmp_path, "west", 8)
    table = site / "labels.csv"
    table.write_text(table.read_text().replace("sick", "unknown"))
    _, metrics = evaluated(finished, site)
    assert metrics["auroc"] is None
    assert (metrics["positives"], metrics["negatives"]) == (0, 4)


def test_what_stands_in_the_way_of_an_external_evaluation_is_said(
    tmp_path: Path, write_site: WriteSite, finished: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        evaluated(tmp_path / "nowhere", write_site(tmp_path, "west", 8))
    with pytest.raises(SiteError, match=r"There is no site folder .*missing"):
        evaluated(finished, tmp_path / "missing")
    empty = write_site(tmp_path, "empty", 8)
    for image in (empty / "images").iterdir():
        image.unlink()
    with pytest.raises(SiteError, match="No image of empty was admitted"):
        evaluated(finished, empty)
    (finished / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"no final model yet.*--resume"):
        evaluated(finished, tmp_path / "west")


@pytest.mark.parametrize("together", [False, True])
def test_who_was_trained_on_is_said_to_flatter(
    tmp_path: Path, write_site: WriteSite, three_sites: tuple[Path, ...], federated: MakeConfig,
    simulate: Callable[[RunConfig], dict[str, Any]], *, together: bool,
) -> None:  # fmt: skip
    """Of data in one place the ledger has no site's name."""
    config = federated(rounds=0, pooled=together, min_sites=1)
    simulate(config)
    own = three_sites[0]
    namesake = write_site(tmp_path / "elsewhere", own.name, 8)
    stranger = write_site(tmp_path / "elsewhere", "west", 8)
    said = {path: warnings_of(Path(config.out), path) for path in (own, namesake, stranger)}
    assert f"{own.name} took part in this run: its training patients" in said[own][0]
    assert said[namesake][0].startswith(f"A site called {own.name} took part")
    assert [len(sentences) for sentences in said.values()] == [1, 1, 0]


def test_a_model_with_the_statistics_of_no_site_is_said_to_be_one(
    tmp_path: Path, write_site: WriteSite, federated: MakeConfig,
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:  # fmt: skip
    config = federated(rounds=3, batch_norm="local")
    simulate(config)
    site = write_site(tmp_path / "elsewhere", "west", 8)
    assert warnings_of(Path(config.out), site) == [LOCAL_STATISTICS]


def warnings_of(run: Path, site: Path) -> list[str]:
    heard: list[Event] = []
    with listening(heard.append):
        evaluated(run, site)
    return [event.text for event in heard if isinstance(event, Warned)]


def test_a_run_without_its_pretrained_file_can_still_be_evaluated(
    tmp_path: Path, write_site: WriteSite, write_base: Callable[..., Path], federated: MakeConfig,
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:  # fmt: skip
    base = write_base(tmp_path / "base.safetensors")
    digest = hashlib.sha256(base.read_bytes()).hexdigest()
    config = federated(weights=str(base), weights_sha256=digest, rounds=1)
    simulate(config)
    base.unlink()
    name, metrics = evaluated(Path(config.out), write_site(tmp_path, "west", 8))
    assert (name, metrics["positives"]) == ("west", 4)


def test_what_training_alone_takes_need_not_be_there(
    tmp_path: Path, write_site: WriteSite, finished: Path
) -> None:
    """A library for an optimiser's moments, a teacher's run: nothing is trained or taught."""
    site = write_site(tmp_path, "west", 12, seed=3)
    before = evaluated(finished, site)
    stored = finished / "config.json"
    document = json.loads(stored.read_text())
    document["config"] |= {"optimizer": "adamw8bit", "teacher": str(tmp_path / "gone")}
    stored.write_text(json.dumps(document))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(eight_bits, "version", lambda _: "0.0.1")
        assert evaluated(finished, site) == before
