"""A drawn chest radiograph of an infant, with or without chronic lung changes.

Coordinates: x to the right, y down, the image spans -1 to 1. The canvas is wider, so that turning
it uncovers nothing. Grey values follow MONOCHROME2: air is dark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.floating]
CANVAS = 1.25  # the canvas spans -CANVAS to CANVAS


@dataclass(frozen=True)
class Thorax:
    """What several structures share; `x` and `y` broadcast to (size, size)."""

    x: Image  # (1, size)
    y: Image  # (size, 1)
    ribcage: Image  # half width of the rib cage, (size, size)
    lungs: Image  # mask of the aerated lung in [0, 1], (size, size)


def draw_chest(rng: np.random.Generator, size: int, *, finding: bool) -> NDArray[np.float32]:
    """Draw one frontal chest radiograph, (size, size), float32 in [0, 1].

    With `finding` the lungs hold hazy coarse opacities and small cystic lucencies, as in evolving
    bronchopulmonary dysplasia; without it they are clear. Tubes and leads occur in both. Equal
    states of `rng` yield the same anatomy and exposure with and without the finding.

    Raises ValueError for a size below 32 pixels.
    """
    if size < 32:
        raise ValueError(f"The size is {size} pixels; it must be at least 32.")
    changes = np.random.default_rng(rng.integers(2**63))
    thorax = _sample_thorax(rng, size)
    image = _soft_tissue(rng, thorax) - rng.uniform(0.24, 0.36) * thorax.lungs
    image += _vessels(rng, thorax) + _bones(rng, thorax) + _abdomen(rng, thorax)
    if finding:
        image += _dysplasia(changes, thorax)
    return _expose(rng, _pose(rng, image + _devices(rng, thorax)))


def _sample_thorax(rng: np.random.Generator, size: int) -> Thorax:
    axis = np.linspace(-CANVAS, CANVAS, size, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    apex, widest = rng.uniform(-0.68, -0.54), rng.uniform(0.05, 0.25)
    sides = np.where(x < 0, rng.uniform(0.47, 0.58), rng.uniform(0.47, 0.58))
    above = np.clip((widest - y) / (widest - apex), 0.0, 1.0)
    ribcage = sides * np.sqrt(1.0 - above**2.4) * (1.0 - 0.10 * np.clip(y - widest, 0.0, 1.0))
    thymus = rng.uniform(0.11, 0.19)
    mediastinum = np.interp(y, [-0.7, -0.35, 0.0, 0.5], [0.10, thymus, 0.12, 0.10])
    heart_x, heart_y = rng.uniform(0.04, 0.12), rng.uniform(0.10, 0.22)
    across, down = (x - heart_x) / rng.uniform(0.22, 0.30), (y - heart_y) / rng.uniform(0.21, 0.28)
    level = np.where(x < 0, rng.uniform(0.24, 0.38), rng.uniform(0.28, 0.42))
    diaphragm = level + rng.uniform(0.10, 0.20) * ((np.abs(x) - 0.24) / 0.26) ** 2
    lungs = (
        _inside(ribcage - 0.02 - np.abs(x), 0.03)
        * _inside(np.abs(x) - mediastinum, 0.04)
        * _inside(np.hypot(across, down) - 1.0, 0.15)
        * _inside(diaphragm - y, 0.03)
    )
    return Thorax(x, y, ribcage, lungs)


def _soft_tissue(rng: np.random.Generator, thorax: Thorax) -> Image:
    """Trunk, neck, chin and the raised arms; thicker in the middle, hence brighter."""
    x, y = thorax.x, thorax.y
    trunk, shoulder = rng.uniform(0.62, 0.72), rng.uniform(-0.80, -0.70)
    rows = [-1.0, shoulder - 0.08, shoulder, shoulder + 0.14, 0.0, 1.0]
    widths = [0.40, 0.24, 0.30, trunk + 0.05, trunk, trunk * rng.uniform(0.95, 1.1)]
    thickness = np.sqrt(np.clip(1.0 - (x / np.interp(y, rows, widths)) ** 2, 0.0, 1.0))
    tissue = 0.60 * thickness**0.6
    for side in (-1.0, 1.0):
        hand = (side * rng.uniform(1.15, 1.45), rng.uniform(-1.35, -0.45))
        distance = _distance(x, y, (side * (trunk - 0.05), shoulder + 0.22), hand)
        arm = np.sqrt(np.clip(1.0 - (distance / 0.15) ** 2, 0.0, 1.0))
        tissue = np.maximum(tissue, 0.32 * arm + 0.16 * _inside(0.03 - distance, 0.02))
    return 0.04 + tissue


def _bones(rng: np.random.Generator, thorax: Thorax) -> Image:
    """Posterior and anterior ribs, the spine with its discs, and the clavicles."""
    x, y = thorax.x, thorax.y
    lateral, spacing, start = np.abs(x) / 0.5, rng.uniform(0.115, 0.145), rng.uniform(0.0, 1.0)
    inside = _inside(thorax.ribcage + 0.01 - np.abs(x), 0.02) * _inside(0.62 - y, 0.1)
    posterior = (y + 0.10 * lateral - rng.uniform(0.14, 0.22) * lateral**3) / spacing + start
    anterior = (y - 0.16 * lateral + 0.25) / spacing + start
    ribs = rng.uniform(0.07, 0.12) * _ridges(posterior, 0.13)
    ribs += rng.uniform(0.01, 0.03) * _ridges(anterior, 0.11) * (lateral > 0.5)
    spine = _inside(0.075 - np.abs(x), 0.02) * (0.09 - 0.05 * _ridges(y / 0.105, 0.08))
    bones = ribs * inside + spine
    for side in (-1.0, 1.0):
        middle = rng.uniform(-0.58, -0.50)
        distance = _distance(x, y, (side * 0.08, middle), (side * 0.5, middle - 0.14))
        bones += 0.10 * _inside(0.022 - distance, 0.02)
    return bones


def _vessels(rng: np.random.Generator, thorax: Thorax) -> Image:
    """Faint markings that fade away from the hila; every lung has them."""
    hila = _blobs(thorax, np.array([[-0.17, -0.02], [0.19, -0.05]]), np.array([0.13, 0.13]))
    texture = np.clip(_smooth_noise(rng, thorax.x.size, 0.04), 0.0, None)
    return rng.uniform(0.02, 0.06) * thorax.lungs * hila * (0.6 + texture)


def _abdomen(rng: np.random.Generator, thorax: Thorax) -> Image:
    """Gas in the stomach and the bowel."""
    count = int(rng.integers(3, 8))
    centres = rng.uniform([-0.45, 0.68], [0.45, 1.0], (count, 2))
    centres[0] = rng.uniform([0.20, 0.52], [0.32, 0.62])
    gas = _blobs(thorax, centres, rng.uniform(0.05, 0.09, count))
    return -rng.uniform(0.08, 0.18) * np.clip(gas, 0.0, 1.0)


def _dysplasia(rng: np.random.Generator, thorax: Thorax) -> Image:
    """Hazy coarse opacities, and cystic lucencies with thin walls, inside the lungs."""
    haze_count, cyst_count = int(rng.integers(4, 8)), int(rng.integers(8, 20))
    rows, columns = np.nonzero(thorax.lungs > 0.8)
    chosen = rng.integers(0, len(rows), haze_count + cyst_count)
    centres = np.stack([thorax.x[0, columns[chosen]], thorax.y[rows[chosen], 0]], axis=1)
    haze = _blobs(thorax, centres[:haze_count], rng.uniform(0.08, 0.16, haze_count))
    coarse = np.clip(0.7 + 0.5 * _smooth_noise(rng, thorax.x.size, 0.03), 0.0, 1.6)
    centres, radii = centres[haze_count:], rng.uniform(0.022, 0.045, cyst_count)
    walls, lumens = _blobs(thorax, centres, 1.25 * radii), _blobs(thorax, centres, 0.75 * radii)
    cysts = 0.8 * np.clip(walls, 0.0, 1.0) - 1.7 * np.clip(lumens, 0.0, 1.0)
    changes = np.clip(haze, 0.0, 1.0) * coarse + cysts
    return np.asarray(rng.uniform(0.10, 0.18) * thorax.lungs * changes)


def _devices(rng: np.random.Generator, thorax: Thorax) -> Image:
    """Tracheal or gastric tube, electrodes with their wires: they say nothing of the lungs."""
    x, y = thorax.x, thorax.y
    devices = np.zeros_like(thorax.lungs)
    if rng.random() < 0.6:
        bend = rng.uniform(-0.05, 0.05) * np.sin(3.0 * y + rng.uniform(0.0, 6.0))
        tip = rng.uniform(-0.45, -0.25) if rng.random() < 0.5 else rng.uniform(0.4, 0.7)
        devices += _inside(0.010 - np.abs(x - bend), 0.012) * _inside(tip - y, 0.02)
    for _ in range(int(rng.integers(0, 4))):
        centre = (rng.uniform(-0.6, 0.6), rng.uniform(-0.5, 0.6))
        devices += _inside(0.035 - np.hypot(x - centre[0], y - centre[1]), 0.01)
        end = (math.copysign(1.5, centre[0]), rng.uniform(-0.2, 1.4))
        devices += 0.6 * _inside(0.007 - _distance(x, y, centre, end), 0.01)
    return rng.uniform(0.12, 0.28) * np.clip(devices, 0.0, 1.0)


def _pose(rng: np.random.Generator, canvas: Image) -> Image:
    """Cut the image from the canvas: turned by up to 6 degrees, scaled and shifted a little."""
    angle, scale = math.radians(rng.uniform(-6.0, 6.0)), rng.uniform(0.92, 1.08) / CANVAS
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.full(2, (len(canvas) - 1) / 2)
    offset = middle - scale * turn @ (middle + rng.uniform(-0.03, 0.03, 2) * len(canvas))
    return np.asarray(ndimage.affine_transform(canvas, scale * turn, offset, order=1))


def _expose(rng: np.random.Generator, image: Image) -> NDArray[np.float32]:
    """Scatter, quantum noise, and the detector's gain, offset and gamma."""
    image = image + rng.uniform(0.01, 0.025) * _smooth_noise(rng, len(image), 0.12)
    quanta = np.sqrt(np.clip(image, 0.0, 1.0) + 0.1) * rng.standard_normal(image.shape)
    image += rng.uniform(0.010, 0.022) * quanta
    image = rng.uniform(0.85, 1.15) * image + rng.uniform(-0.03, 0.07)
    return (np.clip(image, 0.0, 1.0) ** rng.uniform(0.8, 1.25)).astype(np.float32)


def _blobs(thorax: Thorax, centres: NDArray[np.floating], radii: NDArray[np.floating]) -> Image:
    """The sum of Gaussian blobs at `centres` (n, 2) with standard deviations `radii` (n,)."""
    across = np.exp(-(((thorax.x - centres[:, :1]) / radii[:, None]) ** 2) / 2)
    down = np.exp(-(((thorax.y.T - centres[:, 1:]) / radii[:, None]) ** 2) / 2)
    return np.asarray(down.T @ across)


def _smooth_noise(rng: np.random.Generator, size: int, scale: float) -> Image:
    """Noise of mean 0 and deviation 1 with structures of `scale` times the width, (size, size)."""
    noise = rng.standard_normal((size, size), dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, scale * size / 4, truncate=3.0)
    return np.asarray((smooth - smooth.mean()) / smooth.std())


def _inside(depth: Image, edge: float) -> Image:
    """A mask that rises from 0 to 1 over `edge` around depth 0."""
    return np.asarray(np.clip(depth / edge + 0.5, 0.0, 1.0))


def _ridges(phase: Image, width: float) -> Image:
    """Periodic ridges of height 1 at whole phases; `width` is their deviation in periods."""
    return np.asarray(np.exp(-((np.mod(phase + 0.5, 1.0) - 0.5) ** 2) / (2 * width**2)))


def _distance(x: Image, y: Image, start: tuple[float, float], end: tuple[float, float]) -> Image:
    """Distance of each pixel to the line from `start` to `end`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    share = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx**2 + dy**2), 0.0, 1.0)
    return np.hypot(x - start[0] - share * dx, y - start[1] - share * dy)
