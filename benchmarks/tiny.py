"""The small network on ten classes of images, with and without branches trained separately first.

Runs the product's own commands on MNIST's, Fashion-MNIST's or CIFAR-10's files, or on a folder
train/CLASS and test/CLASS of small images in colour, at one site and at four with unequal shares
of the classes (Dirichlet 1, with a seed that leaves each site two of each). Arms of the same sites
have the same images, epochs and augmentation. Accuracy is that of the last round's model on the
test files; nothing is chosen on them. Runs that are finished are not repeated.

    .venv/bin/python -m benchmarks.tiny --files ../shared/data/mnist --out runs/tiny
    .venv/bin/python -m benchmarks.tiny --files cifar10 --augmentation crop --out runs/cifar
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import name_of_device
from client.data.dataset import to_input
from client.importing.folders import classes_of
from client.importing.labelled_images import LabelledImages
from client.importing.write import read_labelled_images
from shared.model.final import load_final_model
from shared.model.network import Network, build_network
from shared.run.finished import read_finished_run

FEDTHAW = Path(sys.executable).parent / "fedthaw"
KINDS = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
SIDE = 32
SITES = 4
SITE = """[site]
name = "{name}"

[data]
images = "images"
labels = "labels.csv"
patient = "patient"
image = "image"
outcome = "class"

[data.classes]
{classes}

[compute]
cache = "cache"

[policy]
unaugmented-statistics = true
"""


@dataclass(frozen=True)
class Arm:
    """Where and how the network is trained."""

    name: str
    settings: tuple[str, ...]
    sites: int


@dataclass(frozen=True)
class Given:
    """Files of images to train on and to test on, and the names of their classes."""

    train: list[Path]
    test: list[Path]
    classes: tuple[str, ...]


def main() -> None:
    options = _parse()
    out = options.out.absolute()
    given = _given(options.files)
    sites = {count: _sites(options, given, out, count) for count in options.sites}
    test = read_labelled_images(given.test).padded(SIDE)
    network = build_network("tiny", outputs=len(given.classes), channels=_channels(test))
    weights = sum(parameter.numel() for parameter in network.parameters())
    images = options.most or "all"
    print(
        f"{options.files.name}, {images} training images, {options.dual + options.rounds} epochs, "
        f"{options.augmentation}; {weights:,} weights; {name_of_device('cpu')}"
    )
    print("\n| arm | test accuracy, % | seeds |\n|---|---|---|")
    for arm in _arms(options):
        found = []
        for seed in range(options.seeds):
            run = out / f"{arm.sites}-{arm.name.replace(' ', '-')}-{seed}"
            if not (run / "model.safetensors").is_file():
                _simulate(run, sites[arm.sites], arm, seed, _channels(test), options)
            found.append(100 * _accuracy(run, test))
        deviation = f" ({statistics.stdev(found):.2f})" if len(found) > 1 else ""
        where = "one site" if arm.sites == 1 else f"{arm.sites} sites, unequal classes"
        mean = statistics.mean(found)
        print(f"| {where}, {arm.name} | {mean:.2f}{deviation} | {len(found)} |", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--files", type=Path, required=True, help="folder of the files")
    add("--out", type=Path, default=Path("runs/tiny"))
    add("--most", type=int, default=0, help="training images; 0: all")
    add(
        "--dual",
        type=int,
        default=3,
        help="epochs in which the two branches are trained separately",
    )
    add("--rounds", type=int, default=5, help="epochs after them")
    add("--sites", type=int, nargs="+", choices=(1, SITES), default=[1, SITES])
    add("--arms", nargs="+", choices=("dual", "plain"), default=["dual", "plain"])
    add("--seeds", type=int, default=1)
    add(
        "--augmentation", default="affine", help="affine; shift for Fashion-MNIST; crop for colours"
    )
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting")
    return parser.parse_args()


def _arms(options: argparse.Namespace) -> list[Arm]:
    dual = (
        "schedule=dual", f"probe-rounds={options.dual}", f"rounds={options.rounds}",
        "thaw-at=0,0,0.2,0.2",
    )  # fmt: skip
    plain = ("schedule=full", "probe-rounds=0", f"rounds={options.dual + options.rounds}")
    named = {"dual": ("dual", dual), "plain": ("without the dual stage", plain)}
    return [Arm(*named[arm], count) for count in options.sites for arm in options.arms]


def _given(folder: Path) -> Given:
    """Folders of classes, CIFAR-10's binary files or IDX files, as they are published."""
    train, test = folder / "train", folder / "test"
    if train.is_dir():
        return Given([train], [test], tuple(classes_of(train).values()))
    digits = tuple(map(str, range(10)))
    if batches := sorted(folder.glob("data_batch_*.bin")):
        return Given(batches, [folder / "test_batch.bin"], digits)
    idx, other = ([folder / f"{part}-{kind}" for kind in KINDS] for part in ("train", "t10k"))
    return Given(idx, other, digits)


def _channels(images: LabelledImages) -> int:
    return 1 if images.pixels.ndim == 3 else 3


def _sites(options: argparse.Namespace, given: Given, out: Path, count: int) -> list[Path]:
    folder = out / f"sites-{count}"
    made = [folder] if count == 1 else [folder / f"site{n}" for n in range(1, count + 1)]
    if not folder.exists():
        files = list(map(str, given.train))
        most = ["--most", str(options.most)] if options.most else []
        deal = [] if count == 1 else ["--sites", str(count), "--unequal", "1", "--seed", "3"]
        _run(["site", "import", str(folder), *files, *most, *deal])
    classes = "\n".join(f'{one} = ["{one}"]' for one in given.classes)
    for number, site in enumerate(made, start=1):
        text = SITE.format(name=f"site{number}", classes=classes)
        (site / "site.toml").write_text(text, encoding="utf-8")
    return made


def _simulate(
    run: Path,
    sites: list[Path],
    arm: Arm,
    seed: int,
    channels: int,
    options: argparse.Namespace,
) -> None:
    settings = (
        *arm.settings, "backbone=tiny", "weights=random", f"image-size={SIDE}", "dropout=0",
        f"image-colour={'grey' if channels == 1 else 'rgb'}",
        "lr-head=0.01", "rates=joined=0.01", "weight-decay=0.01", "batch-size=64",
        "sampling=shuffle", f"augmentation={options.augmentation}", "cutmix-probability=0",
        "validation-fraction=0.02", f"threads={options.threads}", f"seed={seed}",
        *options.set,
    )  # fmt: skip
    given = [part for one in settings for part in ("--set", one)]
    more = ["--resume"] if (run / "config.json").is_file() else []
    _run(["simulate", *map(str, sites), "--out", str(run), *given, *more])


def _run(arguments: list[str]) -> None:
    subprocess.run([str(FEDTHAW), *arguments], check=True, stdout=subprocess.DEVNULL)


@torch.no_grad()
def _accuracy(run: Path, test: LabelledImages) -> float:
    """Test accuracy, 0 to 1, of the run's final model on images as a site prepares them."""
    finished = read_finished_run(run)
    config = finished.stored.config
    network: Network = load_final_model(
        finished.model, finished.backbone, config.outputs, config.channels
    )
    right = 0
    for start in range(0, len(test.labels), 250):
        pixels = test.pixels[start : start + 250].astype(np.uint16) * 257
        ordered = pixels.transpose(0, 3, 1, 2) if pixels.ndim == 4 else pixels
        images = torch.stack([to_input(one) for one in ordered])
        found = network(images).argmax(dim=1).numpy()
        right += int((found == test.labels[start : start + 250]).sum())
    return right / len(test.labels)


if __name__ == "__main__":
    main()
