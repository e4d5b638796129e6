"""Pictures in colour from a folder to scores and to the exported model.

The three classes are squares of red, green and violet that are equally bright: as grey pictures
they are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from client.data.admission import admit, kind_of_problem
from client.policy.rules import Policy
from client.policy.words import plan_in_words
from client.settings import load_site
from shared.model.network import build_network
from shared.settings.config import RunConfig

Here = Callable[..., tuple[int, str, str]]

CLASSES = {"green": (0, 102, 0), "red": (200, 0, 0), "violet": (103, 0, 255)}
SIDE = 32
SETTINGS = (
    "backbone=tiny", "weights=random", "image-size=32", "schedule=dual", "probe-rounds=2",
    "rounds=4", "thaw-at=0,0,0.2,0.2", "augmentation=crop", "dropout=0", "batch-size=8",
    "lr-head=0.01", "lr-probe=0.01", "rates=joined=0.01", "cutmix-probability=0", "threads=1",
    "validation-fraction=0.2", "min-sites=1",
)  # fmt: skip


def picture(colour: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.uint8]:
    """A square of the colour somewhere on a brighter grey."""
    pixels = np.full((SIDE, SIDE, 3), generator.integers(100, 256), dtype=np.uint8)
    y, x = generator.integers(0, SIDE // 2, 2)
    pixels[y : y + SIDE // 2, x : x + SIDE // 2] = colour
    return pixels


def predicted(probabilities: dict[str, float]) -> str:
    return max(probabilities, key=lambda name: probabilities[name])


def write_pictures(folder: Path, each: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for name, colour in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(picture(colour, generator)).save(folder / name / f"{number:03d}.png")


def simulate(here: Here, folder: Path, colour: str, out: Path) -> tuple[int, str, str]:
    given = [word for one in (*SETTINGS, f"image-colour={colour}") for word in ("--set", one)]
    return here("simulate", folder, "--out", out, *given)


def test_the_classes_are_equal_in_grey() -> None:
    squares = np.array([[colour] for colour in CLASSES.values()], dtype=np.uint8)
    assert len(set(np.asarray(Image.fromarray(squares).convert("L")).ravel().tolist())) == 1


@pytest.mark.slow
def test_colours_from_the_folder_to_the_exported_model(tmp_path: Path, here: Here) -> None:
    write_pictures(tmp_path / "train", 20, seed=1)
    write_pictures(tmp_path / "test", 8, seed=2)
    site, out = tmp_path / "site", tmp_path / "run"
    code, said, _ = here("site", "import", site, tmp_path / "train")
    assert (code, "--image-colour rgb" in said) == (0, True)
    code, _, error = simulate(here, site, "grey", tmp_path / "none")
    assert (code, "has colour images, but the run reads greyscale" in error) == (2, True)
    code, _, error = simulate(here, site, "rgb", out)
    assert code == 0, error
    code, said, _ = here("predict", out, tmp_path / "test", "--explain", tmp_path / "why", "--json")
    assert code == 0
    found = json.loads(said)["images"]
    right = [Path(item["file"]).parent.name == predicted(item["probabilities"]) for item in found]
    assert len(right) == 24
    assert np.mean(right) > 0.9
    first = found[0]
    shown = np.asarray(Image.open(tmp_path / "why" / f"{first['explanation']}.png"))
    assert np.array_equal(shown[:320:10, :320:10], np.asarray(Image.open(first["file"])))
    _require_exported_alike(tmp_path, here, found[0])


def _require_exported_alike(tmp_path: Path, here: Here, item: dict[str, object]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = tmp_path / "export"
    assert here("export", tmp_path / "run", "--format", "safetensors,onnx", "--out", out)[0] == 0
    assert "(n, 3, 32, 32)" in (out / "README.md").read_text()
    assert json.loads((out / "model.json").read_text())["input"].startswith("(n, 3, 32, 32)")
    pixels = np.asarray(Image.open(str(item["file"]))).astype(np.float32)
    image = ((2 * pixels / 255 - 1) * 1024).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    _, probability = session.run(["logit", "probability"], {"image": image})
    network = build_network("tiny", outputs=3, channels=3)
    network.load_state_dict(load_file(out / "model.safetensors"))
    with torch.no_grad():
        own = network.eval()(torch.from_numpy(image)).softmax(dim=1).numpy()
    wanted = list(dict(item["probabilities"]).values())  # type: ignore[call-overload]
    assert probability[0] == pytest.approx(wanted, abs=1e-4)
    assert own[0] == pytest.approx(wanted, abs=1e-4)


def test_a_site_of_grey_pictures_is_refused_where_colours_are_read(
    tmp_path: Path, here: Here
) -> None:
    write_pictures(tmp_path / "train", 6, seed=3)
    for path in (tmp_path / "train").rglob("*.png"):
        Image.open(path).convert("L").convert("RGB").save(path)
    site = tmp_path / "site"
    assert here("site", "import", site, tmp_path / "train")[0] == 0
    code, _, error = simulate(here, site, "rgb", tmp_path / "run")
    assert (code, "has only greyscale images, but the run reads colour" in error) == (2, True)
    command = ("site", "check", site, "--image-size", "32", "--image-colour", "rgb")
    code, said, error = here(*command)
    assert (code, "without colour" in said + error) == (2, True)
    assert kind_of_problem(admit(load_site(site), SIDE, "pad", channels=3).report) == (
        "its images are greyscale, but the run reads colour (image-colour=rgb); "
        "`fedthaw site check` there says more"
    )


def test_the_coordinator_hears_that_a_site_has_colours(tmp_path: Path, here: Here) -> None:
    write_pictures(tmp_path / "train", 6, seed=4)
    assert here("site", "import", tmp_path / "site", tmp_path / "train")[0] == 0
    site = load_site(tmp_path / "site")
    assert kind_of_problem(admit(site, SIDE, "pad").report).startswith(
        "its images are in colour, but the run reads greyscale (image-colour=grey)"
    )
    assert admit(site, SIDE, "pad", channels=3).report.problems == ()


def test_the_owner_reads_what_is_read_of_an_image() -> None:
    """Also what differs from the default; nothing of it for grey images."""
    grey = " ".join(plan_in_words(RunConfig(weights="random"), Policy()))
    colour = " ".join(plan_in_words(RunConfig(weights="random", image_colour="rgb"), Policy()))
    assert "over the training images at 512 px in colour with adamw" in colour
    assert "image-colour=rgb (default grey)" in colour
    assert "colour" not in grey
