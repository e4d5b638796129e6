"""The images that a person names: found, counted, or refused with what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from client.predict.named_files import Device, Options, predict_named
from shared.errors import ConfigError, SiteError

Write = Callable[..., Path]


def test_each_image_is_counted_and_scored(
    tmp_path: Path, write_finished: Write, write_phantom: Write
) -> None:
    run = write_finished(tmp_path / "run")
    named = [write_phantom(f"{n}.dcm", n) for n in range(3)]
    seen: list[tuple[int, int]] = []
    found = predict_named(run, named, Options(), lambda *done: seen.append(done))
    assert seen[0] == (0, 3)
    assert seen[-1] == (3, 3)
    assert sorted(Path(one.file).name for one in found.images) == ["0.dcm", "1.dcm", "2.dcm"]


def test_a_folder_without_images(tmp_path: Path, write_finished: Write) -> None:
    run, empty = write_finished(tmp_path / "run"), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SiteError, match=rf"no DICOM, PNG or JPEG image in {empty}; name others"):
        predict_named(run, [empty], Options())


def test_a_gpu_that_is_not_there(
    tmp_path: Path, write_finished: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = write_finished(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"finds no GPU here.*--device cpu"):
        predict_named(run, [tmp_path], Options(device=Device.cuda))
