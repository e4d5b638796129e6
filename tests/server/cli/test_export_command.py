"""`fedthaw export`: the files load elsewhere and give the same logits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from safetensors.torch import load_file

from shared.model.final import load_final_model
from shared.run.finished import LOCAL_STATISTICS, NOTICE, read_finished_run

Here = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


def images(number: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(number, 1, size, size, generator=generator) - 1) * 1024


def logits(run: Path, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        finished = read_finished_run(run)
        return load_final_model(finished.model, finished.backbone)(batch)  # type: ignore[no-any-return]


def run_code(readme: str, number: int, folder: Path, names: dict[str, Any]) -> dict[str, Any]:
    """Run a block of the README as a reader would, in the folder."""
    block = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)[number]
    for name in ("model.safetensors", "model.onnx"):
        block = block.replace(f'"{name}"', repr(str(folder / name)))
    exec(block, names)
    return names


@pytest.mark.parametrize(
    ("backbone", "side"),
    [
        ("micro", 64),
        pytest.param("tiny", 32, marks=pytest.mark.slow),
        pytest.param("resnet18", 64, marks=pytest.mark.slow),
        pytest.param("vit-tiny", 64, marks=pytest.mark.slow),  # torchvision has none
    ],
)
def test_what_the_readme_says_gives_the_models_logits(
    tmp_path: Path, write_finished: Write, here: Here, backbone: str, side: int
) -> None:
    run = write_finished(tmp_path / "run", backbone=backbone, image_size=side)
    code, out, err = here("export", run, "--format", "safetensors,onnx")
    folder = run / "export"
    names = ["model.safetensors", "model.onnx", "model.json", "README.md"]
    assert code == 0
    said = err.splitlines()
    assert said[2:] == [NOTICE]
    for name, line in zip(("model.safetensors", "model.onnx"), said, strict=False):
        found = re.fullmatch(
            rf"Checked {name}: its logits of 2 fixed images differ from the run's model by at most "
            r"(\S+) \(tolerance 0\.001\)\.", line,
        )  # fmt: skip
        assert found is not None
        assert float(found[1]) < 1e-3
    assert out.splitlines() == [str(folder / name) for name in names]
    assert {path.name for path in folder.iterdir()} == set(names)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert NOTICE in readme
    network = run_code(readme, 0, folder, {})["network"]
    session = run_code(readme, 1, folder, {"images": images(1, side).numpy()})["session"]
    for number in (1, 2, 5):
        batch = images(number, side, seed=number)
        wanted = logits(run, batch)
        with torch.no_grad():
            torch.testing.assert_close(network(batch).reshape(-1), wanted, rtol=1e-4, atol=1e-4)
        logit, probability = session.run(None, {"image": batch.numpy()})
        np.testing.assert_allclose(logit, wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(probability, torch.sigmoid(wanted), atol=1e-4)


@pytest.mark.slow
def test_a_transformer_is_torchvisions_at_the_size_of_its_position_embeddings(
    tmp_path: Path, write_finished: Write, here: Here
) -> None:
    run = write_finished(tmp_path / "run", backbone="vit-b-16", image_size=224)
    assert here("export", run)[0] == 0
    readme = (run / "export" / "README.md").read_text(encoding="utf-8")
    assert "from torchvision.models import vit_b_16" in readme
    network, batch = run_code(readme, 0, run / "export", {})["network"], images(2, 224)
    with torch.no_grad():
        found = network(batch).reshape(-1)
    torch.testing.assert_close(found, logits(run, batch), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_resnet50_in_torchvision_and_in_onnxruntime(
    tmp_path: Path, write_finished: Write, here: Here
) -> None:
    run = write_finished(tmp_path / "run", backbone="resnet50", image_size=128)
    assert here("export", run, "--format", "onnx,safetensors", "--out", tmp_path / "e")[0] == 0
    network = torchvision.models.resnet50(num_classes=1)
    network.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    network.load_state_dict(load_file(tmp_path / "e" / "model.safetensors"), strict=True)
    network.eval()
    session = onnxruntime.InferenceSession(tmp_path / "e" / "model.onnx")
    for number in (1, 3):
        batch = images(number, 128, seed=number)
        wanted = logits(run, batch)
        with torch.no_grad():
            torch.testing.assert_close(network(batch)[:, 0], wanted, rtol=1e-4, atol=1e-4)
        logit, _ = session.run(None, {"image": batch.numpy()})
        np.testing.assert_allclose(logit, wanted, rtol=1e-4, atol=1e-4)


def test_the_onnx_model_says_what_it_is(tmp_path: Path, write_finished: Write, here: Here) -> None:
    calibration = {"temperature": 1.5, "operating_points": [{"name": "youden", "threshold": 0.3}]}
    run = write_finished(tmp_path / "run", calibration)
    for folder in ("a", "b"):
        assert here("export", run, "--format", "onnx", "--out", tmp_path / folder)[0] == 0
    files = [tmp_path / folder / "model.onnx" for folder in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()
    model = onnx.load(files[0])
    said = {item.key: item.value for item in model.metadata_props}
    assert (said["run"], said["base"], said["notice"]) == ("r-1", "sha256:ab", NOTICE)
    assert json.loads(said["operating_points"]) == calibration["operating_points"]
    assert model.doc_string == NOTICE
    (given,) = model.graph.input
    shape = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert (given.name, shape) == ("image", ["batch", 1, 32, 32])
    assert [output.name for output in model.graph.output] == ["logit", "probability"]
    root = str(Path(__file__).parents[3])
    assert root.encode() not in files[0].read_bytes()
    assert b"site-packages" not in files[0].read_bytes()


def test_the_safetensors_file_is_a_copy(tmp_path: Path, write_finished: Write, here: Here) -> None:
    run = write_finished(tmp_path / "run")
    assert here("export", run, "--out", tmp_path / "e")[0] == 0
    assert {path.name for path in (tmp_path / "e").iterdir()} == {
        "model.safetensors", "model.json", "README.md",
    }  # fmt: skip
    copy = (tmp_path / "e" / "model.safetensors").read_bytes()
    assert copy == (run / "model.safetensors").read_bytes()
    assert "onnx" not in (tmp_path / "e" / "README.md").read_text(encoding="utf-8")
    facts = json.loads((tmp_path / "e" / "model.json").read_text(encoding="utf-8"))
    assert (facts["run"], facts["base"], facts["temperature"]) == ("r-1", "sha256:ab", None)


@pytest.mark.parametrize("second", ["safetensors", pytest.param("onnx", marks=pytest.mark.slow)])
def test_the_readme_describes_what_an_earlier_export_of_the_run_left(
    tmp_path: Path, write_finished: Write, here: Here, second: str
) -> None:
    run = write_finished(tmp_path / "run")
    (first,) = {"safetensors", "onnx"} - {second}
    for name, out in ((first, "in-turn"), (second, "in-turn"), (f"{first},{second}", "at-once")):
        assert here("export", run, "--format", name, "--out", tmp_path / out)[0] == 0
    in_turn, at_once = (
        {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}
        for out in ("in-turn", "at-once")
    )
    assert in_turn == at_once
    readme = in_turn["README.md"].decode()
    assert "## model.safetensors" in readme
    assert "## model.onnx" in readme


def test_intercept_and_slope_are_told(tmp_path: Path, write_finished: Write, here: Here) -> None:
    fit = {"intercept": -1.5, "slope": 0.5}
    calibration = {"temperature": 1.5, "recalibration": fit, "operating_points": []}
    run = write_finished(tmp_path / "run", calibration)
    assert here("export", run)[0] == 0
    facts = json.loads((run / "export" / "model.json").read_text(encoding="utf-8"))
    assert (facts["recalibration"], facts["caution"]) == (fit, None)
    readme = (run / "export" / "README.md").read_text(encoding="utf-8")
    assert "sigmoid(intercept + slope * logit(score))" in readme


def test_thresholds_of_other_models_are_not_exported(
    tmp_path: Path, write_finished: Write, here: Here
) -> None:
    calibration = {"temperature": 1.5, "operating_points": [{"name": "youden", "threshold": 0.3}]}
    run = write_finished(tmp_path / "run", calibration, batch_norm="local")
    code, _, err = here("export", run)
    assert (code, err.splitlines()[1:]) == (0, [LOCAL_STATISTICS, NOTICE])
    facts = json.loads((run / "export" / "model.json").read_text(encoding="utf-8"))
    assert facts["caution"] == LOCAL_STATISTICS
    assert (facts["temperature"], facts["recalibration"], facts["operating_points"]) == (
        None, None, [],
    )  # fmt: skip
    readme = (run / "export" / "README.md").read_text(encoding="utf-8")
    assert LOCAL_STATISTICS in readme
    assert "operating_points" not in readme
