"""`fedthaw export` where something is missing, wrong or in the way."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from server.export.check import check_onnx, check_safetensors
from shared.errors import RunError
from shared.model.final import load_final_model
from shared.model.network import Network
from shared.run.finished import read_finished_run

Here = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(
    tmp_path: Path, write_finished: Write, here: Here, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    run = write_finished(tmp_path / "run")
    monkeypatch.delitem(sys.modules, "server.export.onnx_model", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = here("export", run, "--format", "safetensors,onnx")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"ONNX needs the package {package}" in err
    assert "pip install 'fedthaw[export]'" in err
    assert not (run / "export").exists()
    assert here("export", run)[0] == 0


@pytest.mark.parametrize("formats", ["", "pickle", "onnx,", "ONNX"])
def test_an_unknown_format_is_refused(
    tmp_path: Path, write_finished: Write, here: Here, formats: str
) -> None:
    code, _, err = here("export", write_finished(tmp_path / "run"), "--format", formats)
    assert code == 2
    assert "it may name safetensors and onnx" in err


def test_an_unfinished_run_is_refused(tmp_path: Path, write_finished: Write, here: Here) -> None:
    run = write_finished(tmp_path / "run")
    (run / "model.safetensors").unlink()
    code, _, err = here("export", run)
    assert (code, err.count("\n")) == (2, 1)
    assert "has no final model yet" in err


def _scaled(file: Path) -> None:
    state = load_file(file)
    save_file({**state, "fc.weight": state["fc.weight"] * 1.5}, file)


def _scale_what_is_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for whatever goes wrong between the weights and the disk."""
    if name == "safetensors":

        def copy(source: Path, target: Path) -> None:
            target.write_bytes(source.read_bytes())
            _scaled(target)

        monkeypatch.setattr("server.export.formats.shutil.copyfile", copy)
        return
    from server.export import onnx_model

    def load(file: Path, backbone: str, outputs: int, channels: int) -> Network:
        network = load_final_model(file, backbone, outputs, channels)
        with torch.no_grad():
            network.get_parameter("fc.weight").mul_(1.5)
        return network

    monkeypatch.setattr(onnx_model, "load_final_model", load)


@pytest.mark.parametrize("name", ["safetensors", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_file_that_computes_otherwise_replaces_nothing(
    tmp_path: Path, write_finished: Write, here: Here, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = write_finished(tmp_path / "run"), tmp_path / "e"
    assert here("export", run, "--format", name, "--out", out)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    _scale_what_is_written(name, monkeypatch)
    code, said, err = here("export", run, "--format", name, "--out", out)
    assert (code, said) == (1, "")
    assert f"model.{name} was not exported." in err
    assert re.search(r"its logits of 2 fixed images differ by up to \S+; 0.001 is allowed", err)
    kept = {path.name: path.read_bytes() for path in out.iterdir() if path.name in before}
    assert kept == before
    unchecked = out / f"model.{name}.unchecked"
    assert str(unchecked) in err
    assert unchecked.read_bytes() != before[f"model.{name}"]
    monkeypatch.undo()
    assert here("export", run, "--format", name, "--out", out)[0] == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("check", [check_safetensors, check_onnx])
def test_a_file_that_does_not_load_is_said(
    tmp_path: Path, write_finished: Write, check: Callable[..., object]
) -> None:
    (tmp_path / "model").write_bytes(b"half a file")
    run = read_finished_run(write_finished(tmp_path / "run"))
    with pytest.raises(RunError, match="does not compute what the run's model does"):
        check(run, tmp_path / "model")


def test_without_onnxruntime_it_is_said_that_nothing_was_compared(
    tmp_path: Path, write_finished: Write, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, err = here("export", write_finished(tmp_path / "run"), "--format", "onnx")
    assert code == 0
    assert "was not compared with the run's model" in " ".join(err.split())


@pytest.mark.slow
def test_a_model_of_another_run_does_not_stay_beside_this_ones_facts(
    tmp_path: Path, write_finished: Write, here: Here
) -> None:
    """Its thresholds would be read from the other run's model.json."""
    first, second = (write_finished(tmp_path / name) for name in ("first", "second"))
    config = json.loads((second / "config.json").read_text(encoding="utf-8"))
    (second / "config.json").write_text(json.dumps(config | {"run": "r-2"}), encoding="utf-8")
    out = tmp_path / "models"
    assert here("export", first, "--out", out, "--format", "onnx,safetensors")[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code, _, stderr = here("export", second, "--out", out)
    assert code == 2
    assert f"{out / 'model.onnx'} may be another run's model" in stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert here("export", first, "--out", out)[0] == 0  # of the same run it may stay
    assert here("export", second, "--out", out, "--format", "onnx,safetensors")[0] == 0
    facts = json.loads((out / "model.json").read_text(encoding="utf-8"))
    assert facts["run"] == "r-2"
    assert here("export", second, "--out", second)[0] == 0  # beside its own model
