"""Small settings: the demo's, and those of a quick look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.local.request import Request, resolve
from server.report.read import read_report
from server.report.sections.outcome import outcome
from server.results.quick import quick_look
from server.run.summary import read_summary
from shared.errors import ConfigError
from shared.settings.config import RunConfig

pytestmark = pytest.mark.usefixtures("undrawn")
Here = Callable[..., tuple[int, str, str]]
SITES = (Path("north"), Path("east"))


def quick(**settings: Any) -> RunConfig:
    flat = {key.replace("_", "-"): value for key, value in settings.items()}
    return resolve(Request(SITES, flat, quick=True))


def test_it_is_small_needs_no_download_and_says_so() -> None:
    config = quick()
    assert (config.quick, config.weights, config.backbone) == (True, "random", "micro")
    assert config.image_size <= 128
    assert config.probe_rounds + config.rounds <= 30
    assert not resolve(Request(SITES)).quick


def test_every_stage_but_the_stem_and_the_first_thaws() -> None:
    from shared.settings.schedule import stages_ever_thawed, total_rounds

    config = quick()
    thawed = stages_ever_thawed(config, total_rounds(config))
    assert thawed == ("layer2", "layer3", "layer4", "head")


def test_what_is_given_wins() -> None:
    config = quick(image_size=64, rounds=3, unfreeze_layer4=0.02)
    assert (config.image_size, config.rounds, config.backbone) == (64, 3, "micro")
    assert config.thaws["layer4"] == 0.02


def test_given_weights_keep_their_network_and_rates(tmp_path: Path) -> None:
    weights = tmp_path / "own.safetensors"
    config = quick(weights=str(weights))
    assert (config.weights, config.backbone) == (str(weights), RunConfig().backbone)
    assert (config.rates, config.thaw_at) == (RunConfig().rates, RunConfig().thaw_at)
    assert config.image_size < RunConfig().image_size
    # The head alone, from activations that are computed once.
    assert (config.rounds, config.augmentation) == (0, "none")
    assert "20 rounds of the head alone. It" in quick_look(config)
    assert quick(weights=str(weights), rounds=4).rounds == 4


@pytest.mark.parametrize("backbone", ["resnet18", "densenet121"])
def test_another_network_takes_the_small_settings(backbone: str) -> None:
    config = quick(backbone=backbone)
    assert (config.backbone, config.weights) == (backbone, "random")
    assert min(config.thaws.values()) == 0.05


def test_it_is_chosen_by_its_option_alone() -> None:
    with pytest.raises(ConfigError, match=r"quick cannot be set with --set.*--quick"):
        resolve(Request(SITES, {"quick": True}))


def test_a_quick_look_says_what_it_is(
    here: Here, write_site: Callable[..., Path], tmp_path: Path
) -> None:
    own = 'weights = "/none/pretrained.pt"'  # for runs from that file; this one needs none
    sites = [
        write_site(tmp_path, name, seed=n, more=own) for n, name in enumerate(("north", "east"))
    ]
    small = ("--set", "image-size=32", "--set", "rounds=1", "--set", "probe-rounds=1")
    run = tmp_path / "run"
    code, out, err = here("simulate", *sites, "--quick", "--out", run, *small)
    assert code == 0, err
    sentence = (
        "A quick look, not a result: micro from untrained weights, images of 32 pixels, 2 rounds"
    )
    assert err.splitlines()[0].startswith(sentence)
    assert "A quick look, not a result" in out
    assert read_summary(run / "summary.json")["quick_look"] is True
    assert sentence in str(outcome(read_report(run)))
    # Continued with and without the option; another run is not made a quick look afterwards.
    assert here("simulate", "--out", run, "--resume", "--quick")[0] == 0
    assert here("simulate", "--out", run, "--resume")[0] == 0
    whole = tmp_path / "whole"
    words = ("--set", "weights=random", "--set", "backbone=micro", *small)
    assert here("simulate", *sites, "--out", whole, *words)[0] == 0
    assert "quick_look" not in read_summary(whole / "summary.json")
    assert "quick look" not in str(outcome(read_report(whole)))
    code, _, err = here("simulate", "--out", whole, "--resume", "--quick")
    assert code == 2
    assert "was not begun with --quick" in err


def test_without_a_connection_it_is_said_before_anything_is_made(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setenv("FEDTHAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    code, _, err = here("simulate", "--set", "weights=xrv", "--out", tmp_path / "run")
    assert code == 2
    assert err.startswith("fedthaw: The pretrained weights pc-nih-rsna-siim-vin-resnet50")
    for way in (f"put it at {tmp_path}/cache/weights", "FEDTHAW_WEIGHTS_MIRROR", "--quick"):
        assert way in err
    assert not (tmp_path / "phantoms").exists()
