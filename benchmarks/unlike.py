"""How well `fedthaw predict` recognises images that are unlike the training images.

    python -m benchmarks.unlike RUN OWN_IMAGES [OTHER_IMAGES ...]

OWN_IMAGES is a folder of the kind of images that the run was trained on. AUROC of the distance
between these and each altered or foreign set, and the share of each set that is called unlike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

from client.data.dataset import to_input
from client.imaging.image import decode, fit_square
from client.predict.distance import (
    UNLIKE,
    described_layers,
    divergence_of_noise,
    measured_divergences,
)
from client.predict.files import find_files
from shared.model.final import load_final_model
from shared.run.finished import read_finished_run

Images = Sequence[NDArray[np.float32]]
MOST = 80


def read(folder: Path) -> Images:
    files = find_files([folder])
    return [decode(path).pixels for path in files[:: -(-len(files) // MOST)]]


def photographs(rng: np.random.Generator) -> Images:
    """Square cuts of scikit-learn's two photographs, as grey."""
    cuts = []
    for photograph in load_sample_images().images:
        grey = photograph.mean(axis=2).astype(np.float32) / 255
        for _ in range(20):
            side = int(rng.integers(150, 400))
            y, x = (int(rng.integers(0, length - side)) for length in grey.shape)
            cuts.append(grey[y : y + side, x : x + side])
    return cuts


def clouds(rng: np.random.Generator) -> NDArray[np.float32]:
    smooth = ndimage.gaussian_filter(rng.normal(size=(200, 200)), 8)
    return np.asarray((smooth - smooth.min()) / np.ptp(smooth), dtype=np.float32)


def altered(own: Images) -> dict[str, Images]:
    quarter = [(len(a) // 4, a.shape[1] // 4) for a in own]
    return {
        "inverted": [1 - a for a in own],
        "a third of the exposure": [a * np.float32(0.3) for a in own],
        "middle quarter": [a[y:-y, x:-x] for a, (y, x) in zip(own, quarter, strict=True)],
        "turned by 90 degrees": [a.T[::-1] for a in own],
        "upside down": [a[::-1, ::-1] for a in own],
        "mirrored": [a[:, ::-1] for a in own],
    }


def measure(run: Path) -> Callable[[Images], NDArray[np.float64]]:
    finished = read_finished_run(run)
    config, model = (
        finished.stored.config,
        load_final_model(finished.model, finished.backbone),
    )
    layers = described_layers(model, config)
    if not layers:
        raise SystemExit("The model's BatchNorm statistics describe no radiographs.")
    noise = divergence_of_noise(model, layers, config.image_size)

    def distances(images: Images) -> NDArray[np.float64]:
        found = []
        for image in images:
            square = fit_square(image, config.image_size, config.image_fit)
            with torch.no_grad(), measured_divergences(layers) as divergences:
                model.prefix(to_input(square)[None], "head")
            found.append(float(torch.stack(divergences).mean()) / noise)
        return np.array(found)

    return distances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("own", type=Path)
    parser.add_argument("others", type=Path, nargs="*")
    given = parser.parse_args()
    distances, rng, own = measure(given.run), np.random.default_rng(0), read(given.own)
    sets: dict[str, Images] = {
        **altered(own),
        "photographs": photographs(rng),
        "clouds": [clouds(rng) for _ in range(40)],
        "noise": [rng.random((200, 200), dtype=np.float32) for _ in range(40)],
        **{str(folder): read(folder) for folder in given.others},
    }
    usual = distances(own)
    print(f"{'set':<40} {'images':>6} {'median':>7} {'AUROC':>6} {'unlike':>7}")
    print(f"{'own':<40} {len(own):6} {np.median(usual):7.2f} {'':6} {np.mean(usual > UNLIKE):7.0%}")
    for name, images in sets.items():
        found = distances(images)
        labels = np.repeat([0, 1], [len(usual), len(found)])
        area = roc_auc_score(labels, np.concatenate([usual, found]))
        share = np.mean(found > UNLIKE)
        print(f"{name:<40} {len(found):6} {np.median(found):7.2f} {area:6.3f} {share:7.0%}")


if __name__ == "__main__":
    main()
