"""Compressed pictures of known values, and DICOM files around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import UID

Picture = NDArray[np.integer]
SYNTAX = {
    "jpeg": "1.2.840.10008.1.2.4.50",
    "progressive": "1.2.840.10008.1.2.4.51",
    "restarts": "1.2.840.10008.1.2.4.50",
    "extended": "1.2.840.10008.1.2.4.51",
    "lossless": "1.2.840.10008.1.2.4.57",
    "sv1": "1.2.840.10008.1.2.4.70",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "j2k": "1.2.840.10008.1.2.4.90",
    "jp2": "1.2.840.10008.1.2.4.90",
    "tiles": "1.2.840.10008.1.2.4.90",
    "j2k-lossy": "1.2.840.10008.1.2.4.91",
    "htj2k": "1.2.840.10008.1.2.4.201",
    "jpeg-xl": "1.2.840.10008.1.2.4.110",
    "rle": "1.2.840.10008.1.2.5",
}
_STAND_IN = b"1.2.840.10008.1.2.4.203"


def make_picture(bits: int, rows: int = 96, columns: int = 80) -> Picture:
    """Ribs and noise, with a black border, over the whole range of the bits."""
    y, x = np.mgrid[0:rows, 0:columns]
    smooth = (np.sin(x / 7) + np.cos(y / 11) + (np.hypot(x - 40, y - 50) < 25) + 2) / 5
    noise = np.random.default_rng(bits).normal(0, 0.004, smooth.shape)
    values = np.clip((smooth + noise) * (2**bits - 1), 0, 2**bits - 1).round()
    values[:6] = values[:, :6] = 0
    values[6, 6], values[7, 7] = 2**bits - 1, 1
    samples: Picture = values.astype(np.uint8 if bits <= 8 else np.uint16)
    return samples


def encode(kind: str, values: Picture, bits: int) -> bytes:
    """A compressed stream that says of its samples that they have `bits` bits."""
    match kind:
        case "jpeg" | "progressive" | "restarts":
            buffer = BytesIO()
            save: dict[str, dict[str, Any]] = {
                "jpeg": {},
                "progressive": {"progressive": True},
                "restarts": {"restart_marker_rows": 1},
            }
            Image.fromarray(values).save(buffer, "JPEG", quality=97, subsampling=0, **save[kind])
            return buffer.getvalue()
        case "extended":
            return bytes(imagecodecs.jpeg8_encode(values, level=97, bitspersample=12))
        case "lossless" | "sv1":
            return bytes(
                imagecodecs.jpeg8_encode(
                    values, lossless=True, bitspersample=bits, predictor=1 if kind == "sv1" else 6
                )
            )
        case "jpeg-ls":
            return bytes(imagecodecs.jpegls_encode(values))
        case "tiles":
            buffer = BytesIO()
            Image.fromarray(values).save(
                buffer, "JPEG2000", irreversible=False, tile_size=(32, 32), num_resolutions=2
            )
            return buffer.getvalue()
        case "j2k" | "jp2" | "j2k-lossy":
            return bytes(
                imagecodecs.jpeg2k_encode(
                    values,
                    codecformat="jp2" if kind == "jp2" else "j2k",
                    reversible=kind != "j2k-lossy",
                    level=70 if kind == "j2k-lossy" else 0,
                    bitspersample=bits,
                )
            )
        case "htj2k":
            return bytes(imagecodecs.htj2k_encode(values, reversible=True))
        case "jpeg-xl":
            return bytes(imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=bits))
        case "rle":
            return RLELosslessEncoder.encode(
                values,
                rows=values.shape[0],
                columns=values.shape[1],
                samples_per_pixel=1,
                number_of_frames=1,
                bits_allocated=8 * values.itemsize,
                bits_stored=bits,
                pixel_representation=0,
                photometric_interpretation="MONOCHROME2",
            )
    raise ValueError(kind)


@pytest.fixture(name="picture")
def picture_fixture() -> Callable[..., Picture]:
    return make_picture


@pytest.fixture(name="encoded")
def encoded_fixture() -> Callable[[str, Picture, int], bytes]:
    return encode


@pytest.fixture
def write_compressed(write_dicom: Callable[..., Path]) -> Callable[..., Path]:
    """Write a stream, or several frames, under the header of `values`.

    `fragments` of each go into items of their own.
    """

    def write(
        stream: bytes | Sequence[bytes],
        kind: str,
        values: Picture,
        bits: int,
        /,
        fragments: int = 1,
        has_offsets: bool = True,
        **attributes: Any,
    ) -> Path:
        path = write_dicom(values, bits, **attributes)
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = UID(
            _STAND_IN.decode() if kind == "jpeg-xl" else SYNTAX[kind]
        )
        dataset.PixelData = encapsulate(
            [stream] if isinstance(stream, bytes) else list(stream),
            fragments_per_frame=fragments,
            has_bot=has_offsets,
        )
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, implicit_vr=False, little_endian=True)
        if kind == "jpeg-xl":  # pydicom 3.0 writes no syntax that it does not know
            path.write_bytes(path.read_bytes().replace(_STAND_IN, SYNTAX[kind].encode(), 1))
        return path

    return write
