"""Pictures read in colour, against Pillow and NumPy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from client.data.augment import augmentation_of, cutmix
from client.data.cache import ImageCache
from client.data.dataset import augmented, to_input
from client.imaging.decode import decode
from client.imaging.decoders import Decoders, Refusal
from client.imaging.image import fit_square
from client.imaging.remarks import TRANSPARENT, WITHOUT_COLOUR
from client.predict.overlay import Legend, side_by_side
from shared.errors import ImageRejected

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 36, 3), dtype=np.uint8)


def written(path: Path, pixels: NDArray[np.uint8], **how: Any) -> Path:
    Image.fromarray(pixels).save(path, **how)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(pixels=arrays.arrays(np.uint8, st.tuples(st.just(32), st.integers(32, 34), st.just(3))))
def test_a_png_s_colours_are_kept_exactly(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    pixels[0, :2] = [[0, 0, 0], [255, 0, 0]]  # a constant picture is set aside
    found = decode(written(tmp_path / "a.png", pixels), colour=True)
    assert found.pixels.dtype == np.float32
    assert np.array_equal(np.rint(found.pixels * 255).astype(np.uint8), pixels)
    assert (found.facts.rows, found.facts.columns) == pixels.shape[:2]
    square = fit_square(found.pixels[:, :32], 32, "pad")
    assert np.array_equal(square, pixels[:, :32].transpose(2, 0, 1) * np.uint16(257))


@pytest.mark.parametrize("orientation", [1, 6, 8, 3])
def test_a_jpeg_has_pillow_s_colours_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.asarray(Image.fromarray(PIXELS).resize((5, 4)).resize((48, 40)))
    file = written(tmp_path / "a.jpg", smooth, quality=95, exif=exif)
    with Image.open(file) as image:
        turned = {1: None, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90,
                  3: Image.Transpose.ROTATE_180}[orientation]  # fmt: skip
        wanted = np.asarray(image if turned is None else image.transpose(turned)).astype(int)
    found = np.rint(decode(file, colour=True).pixels * 255).astype(int)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 2


def test_a_grey_picture_is_three_times_the_same(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", PIXELS[..., 0])
    grey, colour = decode(file), decode(file, colour=True)
    assert np.array_equal(colour.pixels, np.stack([grey.pixels] * 3, axis=2))
    assert colour.facts.remarks == (WITHOUT_COLOUR, *grey.facts.remarks)


def test_a_picture_in_colour_is_set_aside_where_grey_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", PIXELS)
    with pytest.raises(ImageRejected, match="colour image"):
        decode(file)
    assert decode(file, colour=True).facts.remarks == ()


def test_what_shines_through_is_black_in_all_channels(tmp_path: Path) -> None:
    alpha = np.full(PIXELS.shape[:2], 255, dtype=np.uint8)
    alpha[:8] = 0
    found = decode(written(tmp_path / "a.png", np.dstack([PIXELS, alpha])), colour=True)
    assert not found.pixels[:8].any()
    assert np.array_equal(np.rint(found.pixels[8:] * 255), PIXELS[8:])
    assert found.facts.remarks == (TRANSPARENT,)


def test_helpers_and_the_cache_give_what_decoding_does(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", PIXELS)
    wanted = decode(file, colour=True)
    with Decoders(4000, channels=3) as decoders:
        with decoders.decoded(file) as found:
            assert not isinstance(found, Refusal)
            assert np.array_equal(found.pixels, wanted.pixels)
        with decoders.decoded(written(tmp_path / "large.png", PIXELS.repeat(4, axis=0))) as other:
            assert isinstance(other, Refusal)
    square = fit_square(wanted.pixels, 32, "stretch")
    colour, grey = (ImageCache(tmp_path, 32, "stretch", channels) for channels in (3, 1))
    colour.store("ab" * 32, square, wanted.facts)
    kept = colour.load("ab" * 32)
    assert kept is not None
    assert np.array_equal(kept, square)
    assert grey.load("ab" * 32) is None, "another preparation"
    assert colour.preparation != grey.preparation


@pytest.mark.parametrize("name", ["recipe", "affine", "shift", "crop"])
def test_channels_are_augmented_alike(name: str) -> None:
    """Three equal channels stay equal, and each is what the grey picture becomes."""
    grey = to_input(np.random.default_rng(1).integers(0, 65536, (32, 32), dtype=np.uint16))
    augment = augmentation_of(name, 32)
    assert augment is not None
    for seed in range(12):
        wanted = augmented(grey, augment, seed)
        found = augmented(grey.repeat(3, 1, 1), augment, seed)
        assert torch.allclose(found, wanted.expand(3, -1, -1), atol=1e-2)


def test_a_crop_shifts_by_up_to_four_pixels_of_32_and_flips() -> None:
    """Each is one of the 2 x 81 cuts of the picture in a black border; all distances occur."""
    image = to_input(np.random.default_rng(2).integers(1, 65536, (3, 32, 32), dtype=np.uint16))
    augment = augmentation_of("crop", 32)
    assert augment is not None
    cuts = {}
    for flip in (False, True):
        large = torch.nn.functional.pad(image.flip(2) if flip else image, (4,) * 4, value=-1024.0)
        for y in range(9):
            for x in range(9):
                cuts[large[:, y : y + 32, x : x + 32].numpy().tobytes()] = (flip, y, x)
    found = [cuts[augmented(image, augment, seed).numpy().tobytes()] for seed in range(300)]
    flips, downs, rights = (set(each) for each in zip(*found, strict=True))
    assert (flips, downs, rights) == ({False, True}, set(range(9)), set(range(9)))


def test_cutmix_takes_a_rectangle_of_all_channels() -> None:
    images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 16, 16).contiguous()
    torch.manual_seed(0)
    mixed, _ = cutmix(images, torch.eye(4), 1.0)
    assert torch.equal(mixed[:, 0], mixed[:, 1])
    assert torch.equal(mixed[:, 0], mixed[:, 2])


def test_the_explained_picture_is_in_colour() -> None:
    square = PIXELS[:32, :32].transpose(2, 0, 1) * np.uint16(257)
    picture = side_by_side(square, np.zeros((2, 2), np.float32), Legend("cat", 0.5))
    assert np.array_equal(picture[:320:10, :320:10], PIXELS[:32, :32])
    assert np.array_equal(picture[:320:10, 320:640:10], PIXELS[:32, :32])


def test_a_dicom_image_in_colour_is_refused_with_its_kind(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    dataset, dataset.file_meta = Dataset(), FileMetaDataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.set_pixel_data(PIXELS, "RGB", 8, generate_instance_uid=False)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    (tmp_path / "a.dcm").write_bytes(buffer.getvalue())
    for colour, reason in ((False, "photometric interpretation RGB"), (True, "PNG and JPEG")):
        with pytest.raises(ImageRejected, match=reason):
            decode(tmp_path / "a.dcm", colour=colour)
