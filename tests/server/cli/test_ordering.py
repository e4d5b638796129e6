"""What `submit` and a study at a coordinator have in common."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from server.cli.ordering import config_of, keep_bundle, tell_bundle, tell_unless_served
from server.link.folder.home import Home, create_home, only_one
from shared.errors import ConfigError, WeightsError
from shared.run import bundle
from shared.run.bundle import Bundle
from shared.settings.config import RunConfig
from shared.settings.run_plan import approved_settings, plan_number

DIGEST = hashlib.sha256(b"code").hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(bundle, "build_bundle", lambda: Bundle(b"code", DIGEST))
    return create_home(tmp_path / "coordinator", ["hub.example.org"], 8443)


@pytest.mark.parametrize("name", ["xrv", "imagenet", "random"])
def test_weights_with_a_name_are_no_file(name: str) -> None:
    assert config_of({"weights": name}).weights == name


def test_a_weights_file_is_named_from_wherever_the_run_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_base: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"no weights file {tmp_path}/base\.pt"):
        config_of({"weights": "base.pt"})
    (tmp_path / "base.pt").touch()
    with pytest.raises(WeightsError, match=r"base\.pt cannot be read as weights"):
        config_of({"weights": "base.pt"})
    path = write_base(tmp_path / "base.safetensors")
    settings = {"weights": "base.safetensors", "backbone": "micro"}
    assert config_of(settings).weights == str(path)
    with pytest.raises(WeightsError):
        config_of({"weights": "base.safetensors"})


def test_a_bundle_is_kept_by_its_digest_for_the_owner_alone(home: Home) -> None:
    before = os.umask(0)
    try:
        assert keep_bundle(home) == DIGEST
    finally:
        os.umask(before)
    kept = home.path / "bundles" / f"{DIGEST}.fab"
    assert kept.read_bytes() == b"code"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("new", [True, False])
def test_owners_are_told_how_to_allow_new_code_only(
    capsys: pytest.CaptureFixture[str], new: bool
) -> None:
    configs = [RunConfig(folds=2, fold=fold, seed=3) for fold in range(2)]
    tell_bundle(DIGEST, configs, new=new)
    out, err = capsys.readouterr()
    assert (out, DIGEST in err, "fedthaw site approve" in err) == ("", True, new)
    # The folds of an arm are one plan.
    plan = plan_number(DIGEST, approved_settings(configs[0]))[:12]
    assert f"Plan (that code with its settings): {plan}\n" in err
    tell_bundle(DIGEST, [*configs, RunConfig(folds=3)], new=new)
    assert f"Plans (that code with its settings): {plan}, " in capsys.readouterr().err


def test_without_a_server_process_its_command_is_told(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_unless_served(home, "study")
    said = capsys.readouterr().err
    assert f"the study begins when `fedthaw server run --home {home.path}` is started" in said
    with only_one(home):
        tell_unless_served(home, "study")
    assert capsys.readouterr().err == ""
