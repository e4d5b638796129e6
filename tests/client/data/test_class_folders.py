"""Which folders are classes, and which are a system's own or the parts of a data set."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from client.data.class_folders import class_folders, require_no_parts
from shared.errors import SiteError


def test_classes_are_in_the_order_of_the_alphabet_without_a_systems_folders(tmp_path: Path) -> None:
    for name in ("viral", "bacterial", ".git", "@eaDir", "__MACOSX"):
        (tmp_path / name).mkdir()
    (tmp_path / "labels.csv").write_text("a file is no class")
    found = class_folders(tmp_path)
    assert list(found) == ["bacterial", "viral"]
    assert found["viral"] == [tmp_path / "viral"]


def test_accents_composed_or_not_are_one_class_with_both_folders(tmp_path: Path) -> None:
    composed = "l\u00e9ger"
    folders = [tmp_path / unicodedata.normalize(form, composed) for form in ("NFC", "NFD")]
    for folder in folders:
        folder.mkdir(exist_ok=True)  # one and the same where a file system composes names itself
    found = class_folders(tmp_path)
    assert list(found) == [composed]
    assert set(found[composed]) == set(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["train", "VAL", "testing"])
def test_parts_of_a_data_set_are_no_classes(part: str) -> None:
    with pytest.raises(SiteError, match=rf"parts of a data set \({part}\).*/chest/{part}"):
        require_no_parts(Path("/chest"), ["viral", part])


def test_names_that_begin_like_a_part_are_classes() -> None:
    require_no_parts(Path("/chest"), ["trained", "valve", "test-positive"])
