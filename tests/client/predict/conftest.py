"""A phantom radiograph with whatever attributes a test wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from shared.phantoms.hospitals import HOSPITALS, write_hospitals


@pytest.fixture
def write_phantom(tmp_path: Path) -> Callable[..., Path]:
    """Write phantom number 0, 1 or 2 as `name` in tmp_path, its header changed; its path."""
    (made,) = write_hospitals(
        tmp_path / "phantoms", [replace(HOSPITALS[0], patients=3, ungraded=0)], image_side=64
    )
    phantoms = sorted((made / "images").glob("*_1.dcm"))

    def write(name: str = "image.dcm", number: int = 0, **attributes: Any) -> Path:
        radiograph = dcmread(phantoms[number])
        for keyword, value in attributes.items():
            setattr(radiograph, keyword, value)
        radiograph.save_as(tmp_path / name)
        return tmp_path / name

    return write
