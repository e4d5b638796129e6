"""`fedthaw site check` as a person calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Here = Callable[..., tuple[int, str, str]]
WriteSite = Callable[..., Path]
OF_NOTHING = (
    "import sys; from shared.terminal.cli import app, run; code = run(app, sys.argv[1:]); "
    "heavy = {'torch', 'scipy', 'flwr', 'pydicom', 'openpyxl'} & sys.modules.keys(); "
    "print(code, sorted(heavy))"
)


@pytest.mark.parametrize("words", [("/nonexistent",), ("FOLDER",)], ids=["no folder", "no file"])
def test_a_folder_that_is_none_is_refused_before_anything_heavy_is_loaded(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    named = [str(tmp_path) if word == "FOLDER" else word for word in words]
    done = subprocess.run(
        [sys.executable, "-c", OF_NOTHING, "site", "check", *named],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "2 []\n"
    assert done.stderr.startswith("fedthaw: ")


def test_names_that_are_no_text_on_a_strict_terminal(
    tmp_path: Path, write_site: WriteSite, here: Here
) -> None:
    site = write_site(tmp_path, "north", 12)
    stray = os.path.join(os.fsencode(site), b"images", b"M\xfcll\x1b[31m.png")
    Path(os.fsdecode(stray)).write_bytes(b"garbage")
    assert (sys.stdout.encoding.lower(), sys.stdout.errors) == ("utf-8", "strict")
    code, out, err = here("site", "check", site, "--image-size", 32, "--list")
    assert code == 0
    assert "image M\\xfcll\\x1b[31m.png: not a DICOM, PNG or JPEG file" in out
    assert "\x1b" not in out
    assert err == ""


def test_what_is_listed_in_json(tmp_path: Path, write_site: WriteSite, here: Here) -> None:
    site = write_site(tmp_path, "north", 12)
    (site / "images" / "stray.png").write_bytes(b"garbage")
    words = ("site", "check", site, "--image-size", 32, "--json")
    code, out, _ = here(*words)
    assert (code, "stray" in out) == (0, False)
    code, out, _ = here(*words, "--list")
    assert json.loads(out)["listed"] == [
        {
            "kind": "image", "name": "stray.png", "out": True,
            "why": "not a DICOM, PNG or JPEG file",
        }
    ]  # fmt: skip


def test_a_gpu_that_is_not_there_is_said_here(
    tmp_path: Path, write_site: WriteSite, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    site = write_site(tmp_path, "north", 12)
    settings = site / "site.toml"
    text = settings.read_text(encoding="utf-8")
    assert 'device = "cpu"' in text
    settings.write_text(text.replace('device = "cpu"', 'device = "cuda"'), encoding="utf-8")
    code, _, err = here("site", "check", site, "--image-size", 32)
    assert (code, "PyTorch finds no GPU here" in err) == (2, True)


def test_control_characters_of_site_toml_do_not_reach_the_terminal(
    tmp_path: Path, write_site: WriteSite, here: Here
) -> None:
    site = write_site(tmp_path, "north", 12)
    settings = site / "site.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(
        text.replace('outcome = "outcome"', 'outcome = "\\u001b[2J\\u202eoutcome"'),
        encoding="utf-8",
    )
    code, _, err = here("site", "check", site)
    assert code == 2
    assert err.rstrip("\n").isprintable()
    assert "\\x1b[2J\\u202eoutcome" in err
