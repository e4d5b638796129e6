"""Radiographs decoded per second: helper processes compared with threads and with pydicom alone.

    python -m benchmarks.decoding

For each encoding, pictures of the size of a chest radiograph are admitted to an empty cache
(decoded, made square, kept) by one and by two helpers, as a site does it, and by as many threads
without a helper, as a site did it before. The last columns are pydicom's or Pillow's pixel array
alone, in one thread, and the peak memory of a helper over its start, in bytes a pixel.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array

from benchmarks.machine import name_of_device, resident
from benchmarks.steps.encoded import noisy_picture, write_encoded
from client.data.cache import ImageCache, fingerprint_of
from client.imaging.decode import decode
from client.imaging.decoders import Decoders
from client.imaging.facts import DecodedImage
from client.imaging.helper import Helper
from client.imaging.helper_process import DECODE
from client.imaging.image import fit_square
from client.imaging.limits import MAXIMUM_PIXELS


def main() -> None:
    """Print a row an encoding."""
    parser = argparse.ArgumentParser(description="Radiographs decoded a second.")
    parser.add_argument("--images", type=int, default=8, help="of each encoding")
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--columns", type=int, default=2048)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.rows} x {options.columns}, 12 bits; {name_of_device('cpu')}; images a second")
    heads = ["1 helper", "2 helpers", "1 thread", "2 threads", "plain", "bytes a pixel"]
    print(f"{'':14}" + "".join(f"{head:>15}" for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        for encoding in ("native", "JPEG lossless", "JPEG 2000", "PNG"):
            paths = []
            for number in range(options.images):
                path = Path(folder, f"{encoding}-{number}")
                write_encoded(path, noisy_picture(options.rows, options.columns, number), encoding)
                paths.append(path)
            print(f"{encoding:14}" + "".join(f"{cell:15.1f}" for cell in _row(paths)), flush=True)


def _row(paths: Sequence[Path]) -> list[float]:
    def decoded_here(path: Path) -> None:
        image = decode(path)
        _keep(path, image)

    def decoded_there(path: Path) -> None:
        with decoders.decoded(path) as image:
            assert isinstance(image, DecodedImage)
            _keep(path, image)

    with Decoders() as decoders:
        helpers = [_rate(decoded_there, paths, side_by_side) for side_by_side in (1, 2)]
    threads = [_rate(decoded_here, paths, side_by_side) for side_by_side in (1, 2)]
    try:
        plain = _rate(_plain, paths, 1)
    except RuntimeError:  # pydicom alone decodes no JPEG lossless
        plain = math.nan
    return [*helpers, *threads, plain, _peak(paths[0])]


def _keep(path: Path, image: DecodedImage) -> None:
    """What admission does with a picture."""
    square = fit_square(image.pixels, 512, "pad")
    ImageCache(path.parent / "cache", 512, "pad").store(path.name, square, image.facts)
    fingerprint_of(square)


def _plain(path: Path) -> None:
    if path.name.startswith("PNG"):
        np.asarray(Image.open(path))
    else:
        pixel_array(dcmread(path))


def _rate(work: Callable[[Path], None], paths: Sequence[Path], side_by_side: int) -> float:
    with ThreadPoolExecutor(side_by_side) as pool:
        list(pool.map(work, paths[:side_by_side]))  # what starts once has started
        start = time.perf_counter()
        list(pool.map(work, paths))
        return len(paths) / (time.perf_counter() - start)


def _peak(path: Path) -> float:
    helper = Helper(MAXIMUM_PIXELS)
    try:
        before = resident(helper.process, "VmRSS")
        image = helper.image(helper.ask(DECODE, path, 120))
        return (resident(helper.process, "VmHWM") - before) / image.pixels.size
    finally:
        helper.end()


if __name__ == "__main__":
    main()
