"""One image file, whatever its kind, to a picture; imports no more than that takes."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import AllTransferSyntaxes

from client.imaging.dicom import read_dicom
from client.imaging.facts import DecodedImage
from client.imaging.format import image_format
from client.imaging.limits import MAXIMUM_PIXELS
from client.imaging.raster import read_raster
from shared.errors import ImageRejected


def decode(
    path: Path, maximum_pixels: int = MAXIMUM_PIXELS, *, colour: bool = False
) -> DecodedImage:
    """Decode a DICOM, PNG or JPEG file of at most so many pixels, as its content says it is.

    The picture is grey, or with `colour` in red, green and blue.

    Raises ImageRejected with a short phrase that names neither file nor patient.
    """
    try:
        kind = image_format(path)
    except OSError as error:
        raise ImageRejected("file cannot be read") from error
    if kind is None:
        raise ImageRejected("not a DICOM, PNG or JPEG file")
    read = read_dicom if kind == "DICOM" else read_raster
    return read(path, maximum_pixels, colour=colour)


def load_decoders() -> None:
    """Import the decoders that the libraries would import with the first image.

    Pillow's own limit on sizes ends with it: `decode` has the owner's.
    """
    Image.preinit()
    Image.MAX_IMAGE_PIXELS = None
    for uid in AllTransferSyntaxes:
        try:
            get_decoder(uid).is_available  # noqa: B018 # it imports what it looks for
        except NotImplementedError:
            continue
