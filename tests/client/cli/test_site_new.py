"""`fedthaw site new` as a person calls it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from client.settings import load_site
from shared.outcome.encoding import Encoding
from shared.phantoms.hospitals import HOSPITALS, write_hospitals

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """A synthetic hospital whose site.toml is beside it, to compare with."""
    (made,) = write_hospitals(tmp_path, [HOSPITALS[1]], image_side=64)
    (made / "site.toml").rename(tmp_path / "expected.toml")
    return made


def test_what_it_writes_passes_the_check_and_is_what_a_person_would_write(
    tmp_path: Path, hospital: Path, here: Here
) -> None:
    positive = ("--positive", "moderate,severe")
    code, out, err = here("site", "new", hospital, "--from", "labels.xlsx", *positive)
    assert (code, err) == (0, "")
    assert "by its name" in out
    assert "neither: excluded" in out
    assert "Not used: 'irds'." in out
    assert "All other values count as negative" in out
    found = load_site(hospital)
    (hospital / "site.toml").rename(tmp_path / "found.toml")
    (tmp_path / "expected.toml").rename(hospital / "site.toml")
    wanted = load_site(hospital)
    for name in ("name", "images", "labels", "patient", "image", "outcome", "min_cell"):
        assert getattr(found, name) == getattr(wanted, name)
    assert isinstance(found.encoding, Encoding)
    assert isinstance(wanted.encoding, Encoding)
    assert [set(values) for values in found.encoding.values] == [
        set(values) for values in wanted.encoding.values
    ]
    (tmp_path / "found.toml").rename(hospital / "site.toml")
    code, out, err = here("site", "check", hospital, "--image-size", 32)
    assert (code, err) == (0, "")
    counts = [line for line in out.splitlines() if "patients," in line]
    assert len(counts) == 2
    for line in counts:
        word, numbers = line.strip("│ ").split("│")
        proposed = f"{word.strip()}  {numbers.strip()}"
        assert proposed in here("site", "new", hospital, "--print", *positive)[2]


def test_grades_are_classes_and_what_is_written_passes_the_check(
    hospital: Path, here: Here
) -> None:
    code, out, err = here("site", "new", hospital, "--from", "labels.xlsx")
    assert (code, err) == (0, "")
    assert "no class: excluded" in out
    found = load_site(hospital)
    assert str(found.encoding.outcome) == "ordinal: no | mild | moderate | severe"
    code, out, err = here("site", "check", hospital, "--image-size", 32)
    assert (code, err) == (0, "")
    assert "moderate" in out


def test_a_site_toml_that_is_there_is_never_overwritten(hospital: Path, here: Here) -> None:
    settings = hospital / "site.toml"
    settings.symlink_to(hospital / "nowhere")
    code, _, err = here("site", "new", hospital)
    assert (code, "exists and is not overwritten" in err) == (2, True)
    assert not (hospital / "nowhere").exists()
    settings.unlink()
    settings.write_text("# mine\n", encoding="utf-8")
    code, _, err = here("site", "new", hospital)
    assert (code, settings.read_text(encoding="utf-8")) == (2, "# mine\n")
    code, out, err = here("site", "new", hospital, "--print")
    assert code == 0
    assert out.startswith("# Proposed by")
    assert "Proposed for east" in err


def test_a_table_elsewhere_and_images_in_the_folder_itself(
    tmp_path: Path, hospital: Path, here: Here
) -> None:
    table = Path(shutil.move(hospital / "labels.xlsx", tmp_path / "cohort.xlsx"))
    bare = hospital / "images"
    code, _, err = here("site", "new", bare, "--from", table, "--name", "bare")
    assert (code, err) == (0, "")
    found = load_site(bare)
    assert (found.images, found.labels) == (bare, table)
    elsewhere = tmp_path / "settings" / "only"
    code, _, err = here("site", "new", elsewhere, "--from", table, "--images", bare)
    assert (code, err) == (0, "")
    found = load_site(elsewhere)
    assert (found.images, found.labels, found.name) == (bare, table, "only")


def test_nothing_is_written_where_something_must_be_asked(hospital: Path, here: Here) -> None:
    (hospital / "labels.xlsx").unlink()
    code, out, err = here("site", "new", hospital)
    assert (code, out) == (2, "")
    assert "There is no table in" in err
    for name in ("one.csv", "two.csv"):
        (hospital / name).write_text("patient,etiology\n" + "E0001,viral\nE0002,bacterial\n" * 3)
    code, _, err = here("site", "new", hospital)
    assert (code, "There are several tables" in err) == (2, True)
    code, _, err = here("site", "new", hospital, "--from", "one.csv", "--outcome", "etiology")
    assert (code, "--positive VALUE" in err) == (2, True)
    assert not (hospital / "site.toml").exists()


def test_it_names_no_patient_and_loads_no_torch(hospital: Path) -> None:
    program = (
        "import sys; from shared.terminal.cli import app, run; code = run(app, sys.argv[1:]); "
        "print(code, 'torch' in sys.modules, 'flwr' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "site", "new", str(hospital)],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.stdout.endswith("0 False False\n")
    assert "E0001" not in done.stdout + done.stderr
    assert "E0001" not in (hospital / "site.toml").read_text(encoding="utf-8")


def test_a_full_disk_leaves_no_half_of_a_site_toml(
    hospital: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next command would take it for its owner's own file, and never write over it."""
    words = ("site", "new", hospital, "--from", "labels.xlsx", "--positive", "moderate,severe")
    module = import_module("client.cli.new")  # beside it stands the command of that name
    write = module._write

    def write_little(*given: object) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            write(*given)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", write_little)
        code, _, err = here(*words)
    assert code == 1
    assert "File too large" in err
    assert not (hospital / "site.toml").exists()
    assert here(*words)[0] == 0
