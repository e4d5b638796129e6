"""Bad input ends in a sentence that names the thing and the remedy, or is set aside and counted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from server.run.folder import ended_before_it_began
from shared.model.network import build_network
from shared.phantoms.hospitals import HOSPITALS, write_hospitals

pytestmark = pytest.mark.usefixtures("undrawn")
Spoil = Callable[[Path], object]


def replace(file: str, old: str, new: str) -> Spoil:
    def spoil(site: Path) -> None:
        text = (site / file).read_text(encoding="utf-8")
        assert old in text
        (site / file).write_text(text.replace(old, new), encoding="utf-8")

    return spoil


def write(file: str, content: bytes) -> Spoil:
    return lambda site: (site / file).write_bytes(content)


def remove_images(site: Path) -> None:
    shutil.rmtree(site / "images")
    (site / "images").mkdir()


def make_site_toml_a_folder(site: Path) -> None:
    (site / "site.toml").unlink()
    (site / "site.toml").mkdir()


def keep_rows(count: int) -> Spoil:
    def spoil(site: Path) -> None:
        rows = (site / "labels.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        (site / "labels.csv").write_text("".join(rows[: count + 1]), encoding="utf-8")

    return spoil


def compute(line: str) -> Spoil:
    return replace("site.toml", 'device = "cpu"', line)


def lose_an_image(site: Path) -> None:
    """One of 16, as the site's owner allows."""
    replace("site.toml", "min-cell = 1", "min-cell = 1\nmax-rejected = 0.1")(site)
    (site / "images" / "north-0-0.png").unlink()


def truncate(count: int) -> Spoil:
    def spoil(site: Path) -> None:
        for image in sorted((site / "images").iterdir())[:count]:
            image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])

    return spoil


BAD_SITES: dict[str, tuple[Spoil, str]] = {
    "no site.toml": (
        lambda site: (site / "site.toml").unlink(),
        "{site}/site.toml is missing; `fedthaw site new` proposes one from a table of outcomes.",
    ),
    "site.toml is a folder": (
        make_site_toml_a_folder,
        "{site}/site.toml cannot be read (Is a directory); check its permissions.",
    ),
    "no TOML": (
        write("site.toml", b'[site]\nname = "north\n'),
        "{site}/site.toml is not valid TOML: Illegal character '\\n' (at line 2, column 14); "
        "correct it there.",
    ),
    "no UTF-8": (
        write("site.toml", b'[site]\nname = "n\xf6rd"\n'),
        "{site}/site.toml is not UTF-8 text; save it as UTF-8.",
    ),
    "unknown key": (
        replace("site.toml", "patient =", "pateint ="),
        "{site}/site.toml: unknown key 'pateint' in [data]; did you mean 'patient'?",
    ),
    "unknown section": (
        replace("site.toml", "[policy]", "[rules]"),
        "{site}/site.toml: unknown section [rules]; known are site, data, compute, policy, notify.",
    ),
    "missing key": (
        replace("site.toml", 'outcome = "outcome"\n', ""),
        "{site}/site.toml: outcome is missing in [data]; add `outcome = ...`, text in quotes that "
        "is not empty.",
    ),
    "wrong type": (
        replace("site.toml", "min-cell = 1", 'min-cell = "1"'),
        "{site}/site.toml: min-cell in [policy] is '1'; it must be an integer of at least 1.",
    ),
    "no folder of images": (
        replace("site.toml", 'images = "images"', 'images = "scans"'),
        "{site}/site.toml: images in [data] is 'scans', but there is no folder {site}/scans; name "
        "an existing folder, relative to the site's folder or absolute.",
    ),
    "no table": (
        lambda site: (site / "labels.csv").unlink(),
        "{site}/site.toml: labels in [data] is 'labels.csv', but there is no file "
        "{site}/labels.csv; name an existing file, relative to the site's folder or absolute.",
    ),
    "no such column": (
        replace("labels.csv", "patient,file", "id,file"),
        "{site}/labels.csv has no column 'patient'; its columns are 'id', 'file', 'outcome'. "
        "Name the right one in [data] of site.toml.",
    ),
    "no image": (
        remove_images,
        "Site 'north' has no DICOM, PNG or JPEG image in its images folder; put them there, or "
        "correct images in [data] of site.toml.",
    ),
    "one class": (
        replace("labels.csv", ",sick", ",well"),
        "Site 'north' has no positive patient; check the positive list in [data] of site.toml.",
    ),
    "too few patients": (
        keep_rows(4),
        "Site 'north' has too few patients: 1 positive, and training and validation need at least "
        "2 of each class; add patients, or leave this site out.",
    ),
    "no usable outcome": (
        replace("site.toml", '["sick"]\nnegative = ["well"]', '["yes"]\nnegative = ["no"]'),
        "Site 'north' has no image with a usable outcome: 16 images, 16 rows, 0 rows without "
        "image, 0 images without row, 0 outcomes missing (outcomes in neither list: sick (8), "
        "well (8)); check the columns and outcomes in [data] of site.toml.",
    ),
    "an eighth of the images corrupt": (
        truncate(2),
        "Site 'north' has 12.5% of its labelled images set aside, more than max-rejected allows "
        "(5.0%): unreadable or truncated image (2). Replace these files (`fedthaw site check "
        "--list` names them), or raise max-rejected in [policy] of site.toml.",
    ),
    "no such weights": (
        compute('weights = "base.safetensors"'),
        "There is no weights file {site}/base.safetensors, which site.toml of north names; correct "
        "weights in [compute] there.",
    ),
    "cache that cannot be made": (
        compute('cache = "labels.csv/cache"'),
        "The image cache {site}/labels.csv/cache of north cannot be written; check the permissions "
        "of {site}/labels.csv, or name another folder with `cache` in [compute] of site.toml.",
    ),
}


@pytest.mark.parametrize("name", BAD_SITES)
def test_a_site_that_cannot_take_part(
    tmp_path: Path, two_sites: tuple[Path, Path], write_base: Any, tiny: Any, here: Any, name: str
) -> None:
    spoil, sentence = BAD_SITES[name]
    north, east = two_sites
    spoil(north)
    # With random weights a simulation leaves aside the file that site.toml names.
    weights = write_base(tmp_path / "base.safetensors")
    outcome = here(*tiny(north, east, out=tmp_path / "run", weights=weights))
    assert outcome.code == 2
    assert outcome.last_line == "fedthaw: " + sentence.replace("{site}", str(north))
    assert outcome.out == ""
    # Once, and no other site is blamed.
    assert outcome.err.count("fedthaw: ") == 1
    assert str(east) not in outcome.err
    assert "'east'" not in outcome.err
    checked = here("site", "check", north, "--image-size", 32)
    assert checked.code == (0 if "weights" in name else 2)
    # The folder holds nothing that keeps the corrected sites from starting there.
    assert ended_before_it_began(tmp_path / "run")


def test_a_corrected_site_starts_in_the_same_folder(
    tmp_path: Path, two_sites: tuple[Path, Path], tiny: Any, here: Any
) -> None:
    north, east = two_sites
    shutil.copytree(north, tmp_path / "kept")
    remove_images(north)
    run = tmp_path / "run"
    assert here(*tiny(north, east, out=run, rounds=0)).code == 2
    shutil.rmtree(north)
    shutil.copytree(tmp_path / "kept", north)
    assert here(*tiny(north, east, out=run, rounds=0)).code == 0


def test_the_same_in_a_process(tmp_path: Path, two_sites: Any, tiny: Any, fedthaw: Any) -> None:
    north, east = two_sites
    (north / "site.toml").unlink()
    replace("labels.csv", ",well", ",")(east)
    outcome = fedthaw.run(*tiny(north, east, out=tmp_path / "run"))
    assert (outcome.code, outcome.out) == (2, "")
    # All that is wrong is said at once.
    assert outcome.last_line == (
        f"fedthaw: {north}/site.toml is missing; `fedthaw site new` proposes one from a table of "
        "outcomes. Site 'east' has no negative patient; check the negative list in [data] of "
        "site.toml."
    )


@pytest.mark.parametrize(
    ("spoil", "note"),
    [
        (keep_rows(13), "3 image(s) without a row in the table."),
        (lose_an_image, "1 row(s) without an image: no file of this name (1)."),
        (replace("labels.csv", "P2,north-2-0.png,well", "P2,north-2-0.png,unknown"),
         "1 row(s) with an outcome in neither list: unknown (1)."),
        (replace("labels.csv", "P0,north-0-1.png,well", "P0,north-0-1.png,sick"),
         "1 patient(s) with contradictory outcomes, set aside."),
    ],
)  # fmt: skip
def test_what_is_set_aside_is_counted(
    tmp_path: Path, two_sites: Any, tiny: Any, here: Any, spoil: Spoil, note: str
) -> None:
    spoil(two_sites[0])
    outcome = here(*tiny(*two_sites, out=tmp_path / "run", rounds=0))
    assert outcome.code == 0
    assert outcome.err.splitlines()[0] == f"north: {note}"


def test_a_corrupt_dicom_among_good_ones(tmp_path: Path, tiny: Any, here: Any) -> None:
    sites = write_hospitals(tmp_path / "sites", HOSPITALS[1:3], image_side=64)
    truncate(1)(sites[0])
    outcome = here(*tiny(*sites, out=tmp_path / "run", rounds=1), "--json")
    assert outcome.code == 0
    assert "east: 1 image(s) set aside: unreadable or truncated pixel data (1)." in outcome.err
    assert json.loads(outcome.out)["sites"] == ["east", "south"]
    report = json.loads(here("site", "check", sites[0], "--image-size", 32, "--json").out)
    assert (report["rejected"], report["problems"]) == (1, [])


@pytest.mark.parametrize(("corrupt", "code"), [(5, 2), (1, 0)], ids=["ten percent", "two percent"])
def test_a_share_of_corrupt_files(
    tmp_path: Path, write_site: Callable[..., Path], tiny: Any, here: Any, corrupt: int, code: int
) -> None:
    site = write_site(tmp_path, "north", 38)
    images = sorted((site / "images").iterdir())
    assert len(images) == 51
    truncate(corrupt)(site)
    outcome = here(*tiny(site, out=tmp_path / "run", rounds=0))
    assert outcome.code == code
    counted = f"north: {corrupt} image(s) set aside: unreadable or truncated image ({corrupt})."
    assert outcome.err.splitlines()[0] == counted
    assert ("more than max-rejected allows" in outcome.err) == (code == 2)
    checked = here("site", "check", site, "--image-size", 32, "--list")
    assert checked.code == code
    for image in images[:corrupt]:
        assert f"{image.name}: unreadable or truncated image" in checked.out


def test_two_sites_with_one_name(
    tmp_path: Path, two_sites: Any, write_site: Callable[..., Path], tiny: Any, here: Any
) -> None:
    other = write_site(tmp_path / "other", "north", 12)
    outcome = here(*tiny(*two_sites, other, out=tmp_path / "run"))
    assert (outcome.code, outcome.err) == (
        2,
        "fedthaw: Two sites are called 'north'; rename one of them in its site.toml ([site] "
        "name).\n",
    )


def test_sites_with_different_base_weights(
    tmp_path: Path, two_sites: Any, tiny: Any, here: Any
) -> None:
    for seed in (1, 2):
        state = build_network("micro", dropout=0.0, seed=seed).state_dict()
        save_file(state, tmp_path / f"base{seed}.safetensors")
    north, east = two_sites
    compute(f'weights = "{tmp_path}/base2.safetensors"')(east)
    weights = tmp_path / "base1.safetensors"
    outcome = here(*tiny(north, east, out=tmp_path / "run", weights=weights))
    assert outcome.code == 2
    assert re.fullmatch(
        r"fedthaw: Site east holds another pretrained base \(sha256:\w{64}\) than the coordinator "
        r"\(sha256:\w{64}\); every site must load the same `weights` file: replace that site's "
        r"copy, or correct weights in \[compute\] of its site\.toml\.\n",
        outcome.err,
    )


@pytest.mark.slow
def test_a_site_folder_that_is_read_only(
    tmp_path: Path, two_sites: Any, tiny: Any, fedthaw: Any, obeying_permissions: tuple[str, ...]
) -> None:
    """Data is often mounted read-only; the cache is elsewhere unless site.toml puts it there."""
    north, east = two_sites
    compute('cache = "cache"')(east)
    for path in [*north.rglob("*"), north, east]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    alone = fedthaw.start(*tiny(north, out=tmp_path / "1", rounds=0), prefix=obeying_permissions)
    both = fedthaw.run(*tiny(north, east, out=tmp_path / "2", rounds=0), prefix=obeying_permissions)
    assert both.code == 2
    assert both.last_line == (
        f"fedthaw: The image cache {east}/cache of east cannot be written; check the permissions "
        f"of {east}, or name another folder with `cache` in [compute] of site.toml."
    )
    assert fedthaw.end(alone).code == 0
    north.chmod(0o755)
    subprocess.run(["chmod", "-R", "u+w", str(north.parent)], check=True)
