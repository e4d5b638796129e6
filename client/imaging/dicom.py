"""DICOM files to greyscale images in the polarity for viewing.

Rows and columns stay as they are stored; Patient Orientation (0020,0020) is not applied.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from client.imaging.dicom_file import read_dataset
from client.imaging.dicom_header import check_header, facts_of
from client.imaging.dicom_pixels import stored_values
from client.imaging.facts import DecodedImage
from client.imaging.greyscale import to_display
from client.imaging.limits import MAXIMUM_PIXELS
from client.imaging.patient_id import patient_id_of
from client.imaging.quiet import quiet_libraries
from client.imaging.remarks import WITHOUT_COLOUR, remarks_on_header, remarks_on_pixels
from shared.errors import ImageRejected


def read_dicom(
    path: Path, maximum_pixels: int = MAXIMUM_PIXELS, *, colour: bool = False
) -> DecodedImage:
    """Decode a single-frame greyscale DICOM image of 8 to 16 bits.

    With `colour` it is three times the same; a DICOM image in colour is refused all the same.

    Raises ImageRejected with a short phrase that names neither file nor patient.
    """
    with quiet_libraries():
        header = read_dataset(path, stop_before_pixels=True)
        # Decoders and element access of third parties raise nearly anything on a damaged file;
        # whatever it is, it sets one image aside.
        try:
            check_header(header, maximum_pixels, colour=colour)
            facts = facts_of(header)
        except ImageRejected:
            raise
        except Exception as error:
            raise ImageRejected("unreadable DICOM header") from error
        dataset = read_dataset(path, stop_before_pixels=False)
        stored = stored_values(dataset, facts)
        try:
            pixels = to_display(stored, dataset)
        except ImageRejected:
            raise
        except Exception as error:
            raise ImageRejected("unreadable greyscale attributes") from error
        remarks = (*remarks_on_header(dataset), *remarks_on_pixels(pixels))
    if colour:
        pixels, remarks = pixels[:, :, None].repeat(3, axis=2), (WITHOUT_COLOUR, *remarks)
    return DecodedImage(pixels, replace(facts, remarks=remarks))


def read_patient_id(path: Path) -> str | None:
    """The Patient ID (0010,0020) of a file whose pixels were refused, or None."""
    with quiet_libraries():
        try:
            return patient_id_of(read_dataset(path, stop_before_pixels=True))
        except Exception:
            return None  # the file may be damaged anywhere
