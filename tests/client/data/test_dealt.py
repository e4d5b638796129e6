"""Patients come, go and change; what runs are answered for never differs by a few of them."""

from __future__ import annotations

import itertools
import json
import random
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.data.cohort import Cohort, Radiograph
from client.data.dealt import FILE, Dealing, deal
from shared.errors import SiteError

SIZE = 4
Patients = dict[str, tuple[int, tuple[str, ...]]]
"""Class and images of each."""
Answered = frozenset[tuple[int, frozenset[str]]]
"""Patients whom a run may be answered for. Names may change; classes and images are learnt from."""


def cohort_of(patients: Patients) -> Cohort:
    return Cohort(
        "north",
        tuple(
            Radiograph(image, name, label, None)
            for name, (label, images) in patients.items()
            for image in images
        ),
    )


def many(first: int, last: int) -> Patients:
    return {f"P{n}": (n % 2, (f"image-{n}",)) for n in range(first, last)}


def contents(dealing: Dealing) -> list[frozenset[tuple[str, int, frozenset[str]]]]:
    """Each block as what would be learnt from it: patients with their class and images."""
    found = []
    for block in dealing.blocks:
        used = dealing.cohort.subset(block)
        labels = used.patients()
        images = {p: frozenset(r.digest for r in used.radiographs if r.patient == p) for p in block}
        found.append(frozenset((p, labels[p], images[p]) for p in block))
    return found


def answered_sets(dealing: Dealing, chance: random.Random) -> list[Answered]:
    """Unions of blocks, drawn by chance, from none of them to the whole."""
    blocks = [frozenset((c, i) for _, c, i in block) for block in contents(dealing)]
    return [frozenset().union(*chance.sample(blocks, k)) for k in range(len(blocks) + 1)]


def changed(patients: Patients, chance: random.Random, new: itertools.count[int]) -> Patients:
    """One of the things that happen to a hospital's table."""
    result = dict(patients)
    name = chance.choice(sorted(patients)) if patients else ""
    match chance.randrange(5):
        case 0:
            for _ in range(chance.randrange(1, 7)):
                number = next(new)
                result[f"N{number}"] = (number % 2, (f"new-{number}",))
        case 1 if name:
            del result[name]
        case 2 if name:
            result[name] = (1 - patients[name][0], patients[name][1])
        case 3 if name:
            result[name] = (patients[name][0], (*patients[name][1], f"more-{next(new)}"))
        case 4 if name:  # called otherwise, the same images: it is the same patient
            result[f"{name}b"] = result.pop(name)
    return result


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_whatever_happens_answered_sets_differ_by_blocks(chance: random.Random, size: int) -> None:
    patients, new = many(0, size), itertools.count(1000)
    seen: list[Answered] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(8):
            dealing = deal(cohort_of(patients), SIZE, Path(folder))
            seen += answered_sets(dealing, chance)
            patients = changed(patients, chance, new)
    for one, other in itertools.product(seen, repeat=2):
        assert len(one - other) == 0 or len(one - other) >= SIZE


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_nor_by_less_than_a_stricter_rule_from_then_on(chance: random.Random, size: int) -> None:
    """As above, where the owner raises the limit after the first run."""
    patients, new, stricter = many(0, size), itertools.count(1000), 2 * SIZE + 1
    seen: list[Answered] = []
    with tempfile.TemporaryDirectory() as folder:
        deal(cohort_of(patients), SIZE, Path(folder))
        for _ in range(8):
            dealing = deal(cohort_of(patients), stricter, Path(folder))
            seen += answered_sets(dealing, chance)
            patients = changed(patients, chance, new)
    for one, other in itertools.product(seen, repeat=2):
        assert len(one - other) == 0 or len(one - other) >= stricter


def test_newcomers_wait_until_they_are_a_block(tmp_path: Path) -> None:
    first = deal(cohort_of(many(0, 20)), SIZE, tmp_path)
    later = deal(cohort_of(many(0, 23)), SIZE, tmp_path)
    assert contents(later) == contents(first)
    assert later.notes == (
        "3 new patients wait until there are 4 with both classes, as least-difference asks.",
    )
    joined = deal(cohort_of(many(0, 24)), SIZE, tmp_path)
    assert set(contents(first)) < set(contents(joined))
    assert len(joined.blocks) == len(first.blocks) + 1
    assert joined.notes == ()


def test_a_block_that_lost_a_patient_is_left_out_until_it_is_whole_again(tmp_path: Path) -> None:
    first = deal(cohort_of(many(0, 20)), SIZE, tmp_path)
    without = {name: own for name, own in many(0, 20).items() if name != "P7"}
    lost = deal(cohort_of(without), SIZE, tmp_path)
    assert len(lost.blocks) == len(first.blocks) - 1
    assert set(contents(lost)) < set(contents(first))
    assert "1 blocks of patients are excluded" in lost.notes[0]
    assert str(tmp_path / FILE) in lost.notes[0]
    assert deal(cohort_of(many(0, 20)), SIZE, tmp_path) == first


def test_a_later_image_of_a_patient_is_not_used(tmp_path: Path) -> None:
    first = deal(cohort_of(many(0, 20)), SIZE, tmp_path)
    more = {**many(0, 20), "P3": (1, ("image-3", "image-3-later"))}
    later = deal(cohort_of(more), SIZE, tmp_path)
    assert contents(later) == contents(first)
    assert "1 images that patients have got" in later.notes[0]


def test_a_stricter_rule_puts_blocks_together(tmp_path: Path) -> None:
    first = deal(cohort_of(many(0, 24)), SIZE, tmp_path)
    stricter = deal(cohort_of(many(0, 24)), 2 * SIZE, tmp_path)
    assert all(len(block) >= 2 * SIZE for block in stricter.blocks)
    for block in first.blocks:
        assert any(block <= other for other in stricter.blocks)
    assert stricter.notes == ()
    strict = deal(cohort_of(many(0, 24)), 10, tmp_path)
    assert [len(block) for block in strict.blocks] == [12, 12]
    half = deal(cohort_of(many(0, 24)), 16, tmp_path)
    assert [len(block) for block in half.blocks] == [16]
    assert half.notes == (
        "8 patients, dealt when least-difference was smaller, wait until further blocks make 16 of "
        "them.",
    )


def test_what_is_kept_names_nobody_and_is_private(tmp_path: Path) -> None:
    deal(cohort_of(many(0, 20)), SIZE, tmp_path / "kept")
    file = tmp_path / "kept" / FILE
    assert "P7" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", '{"blocks": 3}', '{"blocks": [[{}]]}', '{"blocks": [3]}',
     json.dumps({"blocks": [[{"label": 1, "images": []}]]}),
     json.dumps({"blocks": [[{"label": 2, "images": ["a"]}]]}),
     json.dumps({"blocks": [[{"label": 1, "images": [{}]}]]})],
)  # fmt: skip
def test_a_damaged_file_lets_nothing_be_answered(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(SiteError, match=r"dealt\.json.*restore it"):
        deal(cohort_of(many(0, 20)), SIZE, tmp_path)
    assert (tmp_path / FILE).read_text() == text


def test_without_a_folder_nothing_is_kept() -> None:
    assert deal(cohort_of(many(0, 20)), SIZE, None).blocks
