"""The register of what was shown: kept, locked, and refused where it is damaged."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from server.disclosure.register import FILE, Register, Release, register_path
from server.disclosure.study import StudyDisclosure
from shared.errors import RunError
from shared.settings.config import RunConfig

RELEASE = Release("r1", "validation", {"a": "1", "b": "2"}, (9, 8), ("b",))


def add(path: Path, release: Release) -> None:
    with Register(path).opened() as releases:
        releases.add(release)


def test_what_is_added_is_read_back_and_only_once(tmp_path: Path) -> None:
    path = tmp_path / FILE
    add(path, RELEASE)
    add(path, Release("r2", "validation", {"b": "2", "a": "1"}, (9, 8), ("b",)))
    with Register(path).opened() as releases:
        assert releases.before == (RELEASE,)
    assert path.stat().st_mode & 0o077 == 0


def test_nothing_is_kept_of_a_block_that_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with Register(tmp_path / FILE).opened() as releases:
            releases.add(RELEASE)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert (tmp_path / FILE).read_bytes() == b""


def test_a_torn_last_line_was_never_followed_by_what_it_speaks_of(tmp_path: Path) -> None:
    path = tmp_path / FILE
    add(path, RELEASE)
    with path.open("ab") as file:
        file.write(b'{"run": "r2", "coh')
    other = Release("r3", "test", {"a": "1"}, (7, 7), ())
    add(path, other)
    with Register(path).opened() as releases:
        assert releases.before == (RELEASE, other)


WHOLE = '{"run": "r", "cohort": "c", "members": {"a": "1"}, "counts": [5, 5], "small": []}'


def test_a_whole_line_is_none_of_those_below(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"{WHOLE}\n", encoding="utf-8")
    with Register(tmp_path / FILE).opened() as releases:
        assert releases.before == (Release("r", "c", {"a": "1"}, (5, 5), ()),)


@pytest.mark.parametrize(
    "line",
    [
        "{}", "[1]", '{"run": "r", "cohort": "c", "members": 1}',
        WHOLE.replace(', "small": []', ""), WHOLE.replace("[5, 5]", "[5]"),
        WHOLE.replace("[5, 5]", "[5, 5.5]"), WHOLE.replace('"1"', "1"),
        WHOLE.replace('"cohort"', '"run": "s", "cohort"'),
    ],
)  # fmt: skip
def test_a_damaged_line_stops_the_run(tmp_path: Path, line: str) -> None:
    """Going on without it would show what it forbids."""
    path = tmp_path / FILE
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(RunError, match="line 1, is damaged"), Register(path).opened():
        pass


def test_runs_side_by_side_do_not_lose_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / FILE
    releases = [Release("r", "c", {f"s{n}": "1"}, (9, 9), ()) for n in range(20)]
    threads = [threading.Thread(target=add, args=(path, one)) for one in releases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    members = [json.loads(line)["members"] for line in path.read_text("utf-8").splitlines()]
    assert sorted(map(str, members)) == sorted(str(dict(one.members)) for one in releases)


def test_a_studys_runs_share_the_register_beside_the_study(tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "arm").mkdir(parents=True)
    (study / "plan.json").touch()
    assert register_path(study) == tmp_path / FILE
    assert register_path(study / "arm" / "repeat-0-fold-0") == tmp_path / FILE
    assert register_path(tmp_path / "run") == tmp_path / FILE


def test_a_study_that_grows_is_held_to_what_it_has_shown(tmp_path: Path) -> None:
    """All sites and a alone are in its result; an arm of c alone would leave the small b."""
    counts = {"a": (40, 40), "b": (3, 9), "c": (30, 30)}
    rules = StudyDisclosure(RunConfig(folds=5), tmp_path / "study", "r1")
    groups = rules.groups(counts, {"b"})
    assert groups.admit("abc")
    assert groups.admit("a")
    rules.enter(groups)
    grown = StudyDisclosure(RunConfig(folds=5), tmp_path / "study", "r1").groups(counts, {"b"})
    assert not grown.admit("c")
    assert not grown.admit("b")
    assert grown.admit("abc")
    # Nor may another study there show it.
    other = StudyDisclosure(RunConfig(folds=3), tmp_path / "other", "r9").groups(counts, {"b"})
    assert not other.admit("ac")
