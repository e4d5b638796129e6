from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.data.admission import Admission, admit, require_trainable
from client.data.cache import ImageCache
from client.imaging.decoders import Decoders, Refusal
from client.imaging.facts import DecodedImage
from client.imaging.image import decode, fit_square
from client.settings import SiteSettings
from shared.errors import SiteError

Make = Callable[..., SiteSettings]

TABLE = "patient,file,grade\n"
GOOD = TABLE + "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,none\nP4,4.png,none\n"


def fates(admission: Admission) -> int:
    """All files, by the ways that the report says they went."""
    report = admission.report
    return (
        report.images_admitted
        + len(report.rejected)
        + report.duplicates
        + report.images_without_label
        + report.images_of_unused_outcome
        + report.images_of_contradictory_patients
    )


def patients(admission: Admission) -> dict[str, int]:
    return admission.cohort.patients()


def test_a_clean_site_is_admitted_whole(make_site: Make, fill: Callable[..., None]) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    site = make_site(GOOD)
    seen: list[tuple[int, int]] = []
    admission = admit(site, 16, "pad", lambda done, total: seen.append((done, total)))
    require_trainable(admission)
    report = admission.report
    assert patients(admission) == {"P1": 1, "P2": 1, "P3": 0, "P4": 0}
    assert (report.images_found, report.images_admitted, fates(admission)) == (4, 4, 4)
    positive, negative = report.counts.classes
    assert (positive.patients, negative.images) == (2, 2)
    assert report.warnings == report.problems == ()
    assert report.formats == {"PNG": 4}
    assert report.views == {"not stated": 4}
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    cache = ImageCache(site.cache, 16, "pad")
    for radiograph, name in zip(admission.cohort.radiographs, "1234", strict=True):
        expected = fit_square(decode(site.images / f"{name}.png").pixels, 16, "pad")
        np.testing.assert_array_equal(cache.load(radiograph.digest), expected)


def test_a_file_that_is_replaced_while_it_is_read_is_no_other_files_picture(
    make_site: Make, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("1.png", "2.png", "3.png", "4.png", "other.png")
    site = make_site(GOOD)
    one, other = site.images / "1.png", site.images / "other.png"
    first, second = one.read_bytes(), other.read_bytes()
    other.unlink()
    digest = hashlib.sha256(first).hexdigest()
    decoded = Decoders.decoded

    def replaced(decoders: Decoders, path: Path) -> AbstractContextManager[DecodedImage | Refusal]:
        if path == one:
            path.write_bytes(second)
        return decoded(decoders, path)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Decoders, "decoded", replaced)
        rejected = admit(site, 16, "pad").report.rejected
    assert rejected == (("1.png", "the file changed while it was read"),)
    assert ImageCache(site.cache, 16, "pad").load(digest) is None
    one.write_bytes(first)
    assert admit(site, 16, "pad").report.rejected == ()
    expected = fit_square(decode(one).pixels, 16, "pad")
    np.testing.assert_array_equal(ImageCache(site.cache, 16, "pad").load(digest), expected)


def test_a_second_start_decodes_nothing(
    make_site: Make, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    site = make_site(GOOD)
    first = admit(site, 16, "pad")
    week = time.time() - 7 * 86_400
    oldest = ImageCache(site.cache, 16, "pad").path(first.cohort.radiographs[2].digest)
    os.utime(oldest, (week, week))

    def explode(decoders: Decoders, path: Path) -> None:
        raise AssertionError(f"decoded {path}")

    monkeypatch.setattr(Decoders, "decoded", explode)
    second = admit(site, 16, "pad")
    assert second.cohort == first.cohort
    assert (first.report.cached, first.report.decoded) == (0, 4)
    assert first.report.oldest_cache_days is None
    assert (second.report.cached, second.report.decoded) == (4, 0)
    assert second.report.oldest_cache_days == pytest.approx(7, abs=0.01)
    assert second.report.formats == first.report.formats


def test_what_was_kept_under_a_larger_limit_is_set_aside(
    make_site: Make, fill: Callable[..., None]
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    assert admit(make_site(GOOD), 16, "pad").report.images_admitted == 4
    strict = dataclasses.replace(make_site(GOOD), maximum_pixels=40 * 48 - 1)
    report = admit(strict, 16, "pad").report
    assert report.rejected_by_reason == {"larger than 0.001919 megapixels": 4}


def test_a_damaged_cache_entry_is_rebuilt(make_site: Make, fill: Callable[..., None]) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    site = make_site(GOOD)
    digest = admit(site, 16, "pad").cohort.radiographs[0].digest
    cache = ImageCache(site.cache, 16, "pad")
    before = cache.load(digest)
    cache.path(digest).write_bytes(cache.path(digest).read_bytes()[:-1])
    report = admit(site, 16, "pad").report
    assert (report.cached, report.decoded) == (3, 1)
    np.testing.assert_array_equal(cache.load(digest), before)


def test_everything_wrong_is_reported_at_once(
    make_site: Make, fill: Callable[..., None], tmp_path: Path
) -> None:
    fill("1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "7.png", "8.png", "stray.png")
    images = tmp_path / "images"
    (images / "broken.png").write_bytes(b"garbage")
    (images / "copy.png").write_bytes((images / "1.png").read_bytes())
    (images / "shared.png").write_bytes((images / "8.png").read_bytes())
    table = GOOD + (
        "P5,5.png,unknown\nP5,5b.png,\nP6,6.png,severe\nP6,7.png,none\nP7,broken.png,severe\n"
        "P1,copy.png,severe\nP8,8.png,none\nP9,shared.png,none\n,x.png,none\n"
    )
    admission = admit(make_site(table), 16, "pad")
    report = admission.report
    assert patients(admission) == {"P1": 1, "P2": 1, "P3": 0, "P4": 0}
    assert (report.images_found, fates(admission)) == (12, 12)
    assert report.rejected == (
        ("8.png", "same image for several patients"),
        ("broken.png", "not a DICOM, PNG or JPEG file"),
        ("shared.png", "same image for several patients"),
    )
    assert report.rejected_by_reason == {
        "same image for several patients": 2,
        "not a DICOM, PNG or JPEG file": 1,
    }
    assert (report.duplicates, report.images_without_label) == (1, 1)
    assert (report.images_of_unused_outcome, report.images_of_contradictory_patients) == (1, 2)
    assert (report.labels_without_image, report.labels_without_patient) == (1, 1)
    assert (report.missing_outcomes, report.excluded_outcomes) == (1, {"unknown": 1})
    assert report.contradictory_patients == 1
    assert report.images_vanished == 1  # x.png, whose row has no patient
    assert report.rejected_share == pytest.approx(4 / 12)
    assert report.warnings == (
        "3 image(s) set aside: same image for several patients (2), "
        "not a DICOM, PNG or JPEG file (1).",
        "1 image(s) duplicates of another file of the same patient, excluded.",
        "1 image(s) without a row in the table.",
        "1 row(s) without an image: no file of this name (1).",
        "1 row(s) set aside: no patient (1).",
        "1 row(s) without an outcome.",
        "1 row(s) with an outcome in neither list: unknown (1).",
        "1 patient(s) with contradictory outcomes, set aside.",
    )
    with pytest.raises(SiteError, match=r"33\.3% of its labelled images set aside, more than"):
        require_trainable(admission)


def test_a_cache_that_cannot_be_written_stops_admission(
    make_site: Make, fill: Callable[..., None], tmp_path: Path
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SiteError, match=r"image cache .* cannot be written"):
        admit(make_site(GOOD), 16, "pad")


@pytest.fixture
def resave(tmp_path: Path) -> Callable[[str, str], None]:
    """Write the pixels of one image of the site to another file, in other bytes."""

    def write(source: str, target: str) -> None:
        images = tmp_path / "images"
        Image.open(images / source).save(images / target, compress_level=0)
        assert (images / source).read_bytes() != (images / target).read_bytes()

    return write


def test_one_picture_in_files_of_two_patients_is_set_aside(
    make_site: Make, fill: Callable[..., None], resave: Callable[[str, str], None]
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    resave("1.png", "3.png")
    admission = admit(make_site(GOOD), 16, "pad")
    assert patients(admission) == {"P2": 1, "P4": 0}
    assert admission.report.rejected == (
        ("1.png", "same image for several patients"),
        ("3.png", "same image for several patients"),
    )
    assert admission.report.rejected_share == 0.5
    assert fates(admission) == 4


def test_one_picture_in_files_of_one_patient_is_admitted_once(
    make_site: Make, fill: Callable[..., None], resave: Callable[[str, str], None]
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    resave("1.png", "0.png")
    resave("1.png", "stray.png")
    site = make_site(GOOD + "P1,0.png,severe\n")
    admission = admit(site, 16, "pad")
    require_trainable(admission)
    report = admission.report
    assert (report.images_admitted, report.duplicates, report.images_without_label) == (4, 1, 1)
    assert fates(admission) == report.images_found == 6
    kept = hashlib.sha256((site.images / "0.png").read_bytes()).hexdigest()  # first by path
    assert [r.digest for r in admission.cohort.radiographs if r.patient == "P1"] == [kept]
    assert admit(site, 16, "pad").cohort == admission.cohort


def test_leftovers_in_the_cache_are_removed(make_site: Make, fill: Callable[..., None]) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    site = make_site(GOOD)
    digest = admit(site, 16, "pad").cohort.radiographs[0].digest
    leftover = ImageCache(site.cache, 16, "pad").path(digest).with_name("tmp.partial")
    leftover.touch()
    os.utime(leftover, (0, 0))
    assert admit(site, 16, "pad").report.cached == 4
    assert not leftover.exists()
