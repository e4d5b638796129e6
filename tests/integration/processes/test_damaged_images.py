"""Folders with every fault at once, by the installed commands: one complete report, and results."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from benchmarks.steps.encoded import ENCODINGS, noisy_picture, write_encoded

FILES_OF_THEIR_OWN = {"PNG": ".png", "PNG 8": ".png", "JPEG": ".jpg"}


def suffix_of(encoding: str) -> str:
    return FILES_OF_THEIR_OWN.get(encoding, ".dcm")


def write_good(folder: Path) -> list[str]:
    """Two pictures in each encoding."""
    names = []
    for number in range(2 * len(ENCODINGS)):
        encoding = ENCODINGS[number // 2]
        name = f"good {number} {encoding}{suffix_of(encoding)}"
        write_encoded(folder / name, noisy_picture(64, 80, number), encoding)
        names.append(name)
    return names


def write_bad(folder: Path) -> list[str]:
    """Every way in which a file of images can be none."""
    names = []

    def add(name: str, data: bytes) -> None:
        (folder / name).write_bytes(data)
        names.append(name)

    for number, encoding in enumerate(ENCODINGS):
        path = folder / "source"
        write_encoded(path, noisy_picture(64, 80, 100 + number), encoding)
        whole = path.read_bytes()
        path.unlink()
        add(f"cut {encoding}{suffix_of(encoding)}", whole[: len(whole) // 2])
        if encoding == "JPEG baseline":  # the marker of DQT: GDCM ends the process
            add("abort marker.dcm", whole.replace(b"\xff\xdb", b"\xff\x00", 1))
            add("abort block.dcm", zeroed(whole, whole.index(b"\xff\xd8") + 2))
        if encoding == "JPEG-LS":  # a precision of 128 bits: GDCM ends the process
            place = whole.index(b"\xff\xf7") + 4
            add("abort precision.dcm", whole[:place] + b"\x80" + whole[place + 1 :])
        if encoding == "deflated":
            add("bomb.dcm", swollen(whole, folder))
        if encoding == "PNG":
            huge = b"IHDR" + struct.pack(">II", 2**20, 2**20) + whole[24:29]
            add("bomb.png", whole[:12] + huge + struct.pack(">I", zlib.crc32(huge)) + whole[33:])
    add("empty.dcm", b"")
    add("empty.png", b"")
    add("text.png", b"no picture at all\n")
    add("random.dcm", np.random.default_rng(0).bytes(4000))
    Image.new("L", (64, 80), 7).save(folder / "constant.png")
    Image.new("L", (20, 80), 7).save(folder / "small.png")
    (folder / "dangling.png").symlink_to(folder / "gone.png")
    return [*names, "constant.png", "small.png", "dangling.png"]


def zeroed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes(64) + data[place + 64 :]


def swollen(data: bytes, folder: Path) -> bytes:
    """The deflated dataset, followed by 100 MB of zeros."""
    path = folder / "source"
    path.write_bytes(data)
    meta = dcmread(path).file_meta
    assert meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    path.unlink()
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    plain = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    more = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 100 * 2**20) + bytes(100 * 2**20)
    return data[:start] + packer.compress(plain + more) + packer.flush()


@pytest.fixture
def make_site(tmp_path: Path, write_site: Callable[..., Path]) -> Callable[..., Any]:
    """A site of every encoding and every fault, each a patient; any share may be set aside."""

    def make(name: str) -> tuple[Path, list[str], list[str]]:
        site = write_site(tmp_path, name, 0)
        good, bad = write_good(site / "images"), write_bad(site / "images")
        rows = [f"P{n},{file},{('sick', 'well')[n % 2]}" for n, file in enumerate([*good, *bad])]
        (site / "labels.csv").write_text("patient,file,outcome\n" + "\n".join(rows) + "\n")
        settings = site / "site.toml"
        settings.write_text(settings.read_text() + "max-rejected = 1\n")
        return site, good, bad

    return make


@pytest.mark.slow
def test_one_complete_report(make_site: Any, fedthaw: Any) -> None:
    site, good, bad = make_site("north")
    outcome = fedthaw.run("site", "check", site, "--image-size", 32, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert report["images_found"] == len(good) + len(bad)
    assert report["images_admitted"] == len(good)
    assert report["rejected"] == len(bad)
    assert sum(report["rejected_by_reason"].values()) == len(bad)


@pytest.mark.slow
def test_a_simulation_and_a_prediction_have_their_results(
    tmp_path: Path, make_site: Any, write_site: Callable[..., Path], tiny: Any, fedthaw: Any
) -> None:
    site, good, bad = make_site("north")
    other = write_site(tmp_path, "south")
    outcome = fedthaw.run(*tiny(site, other, out=tmp_path / "run", rounds=1), "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["sites"] == ["north", "south"]
    assert f"north: {len(bad)} image(s) set aside: " in outcome.err
    assert "terminate" not in outcome.err
    explained = tmp_path / "explained"
    predicted = fedthaw.run(
        "predict", tmp_path / "run", site / "images", "--json", "--explain", explained
    )
    assert (predicted.code, predicted.err) == (0, "")
    found = json.loads(predicted.out)
    assert {Path(one["file"]).name for one in found["images"]} == set(good)
    assert {Path(one["file"]).name for one in found["refused"]} == set(bad)
    assert len(list(explained.glob("*.dcm"))) == len(good)
