"""A table file read with the columns of a small site."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from client.data.labels import LabelTable, read_labels
from client.settings import SiteSettings


@pytest.fixture
def read(make_site: Callable[..., SiteSettings], tmp_path: Path) -> Callable[..., LabelTable]:
    """The table of these bytes, with the columns patient, file and grade."""
    site = make_site("", 'image = "file"')

    def labels(content: bytes, name: str = "labels.csv") -> LabelTable:
        (tmp_path / name).write_bytes(content)
        return read_labels(dataclasses.replace(site, labels=tmp_path / name))

    return labels
