"""Decoding in helper processes: real ones, killed, starved and left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.steps.encoded import ENCODINGS, noisy_picture, write_encoded
from client.imaging import template
from client.imaging.decode import decode
from client.imaging.decoders import Decoders, Refusal
from client.imaging.facts import DecodedImage
from client.imaging.template import end_template
from shared.errors import FedThawError

HelpersOf = Callable[..., list[int]]
AllEnd = Callable[[list[int]], bool]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def own_template() -> Iterator[None]:
    """A template that this test starts, and that no later test uses."""
    end_template()
    yield
    end_template()


def children(process: int) -> list[int]:
    """The processes that this one has started and that still run, by the system's own list."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, *_ = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(parent) == process and state != "Z":
            found.append(int(folder.name))
    return found


def command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


@pytest.fixture
def helpers_of() -> Callable[..., list[int]]:
    """The helper processes of a process (of this one), once there are at least so many."""

    def find(process: int | None = None, at_least: int = 1) -> list[int]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            templates = [
                child
                for child in children(process or os.getpid())
                if "helper_process.py" in command_of(child)
            ]
            helpers = [helper for template in templates for helper in children(template)]
            if len(helpers) >= at_least:
                return helpers
            time.sleep(0.01)
        raise AssertionError("no helper was started")

    return find


@pytest.fixture
def all_end() -> Callable[[list[int]], bool]:
    """Whether these processes end, in any time."""

    def wait(processes: list[int]) -> bool:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if not any(_runs(process) for process in processes):
                return True
            time.sleep(0.05)
        return False

    return wait


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.dcm"
    write_encoded(path, noisy_picture(40, 48, 0), "native")
    return path


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """A file over which its reader waits, as over a drive that is gone."""
    path = tmp_path / "stuck.png"
    os.mkfifo(path)
    return path


def read(decoders: Decoders, path: Path) -> DecodedImage | str:
    """A copy of the picture, or the reason."""
    with decoders.decoded(path) as result:
        if isinstance(result, Refusal):
            return result.reason
        return DecodedImage(result.pixels.copy(), result.facts)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_helper_decodes_as_this_process_does(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "image.dcm"
    write_encoded(path, noisy_picture(61, 83, 1), encoding)
    expected = decode(path)
    with Decoders() as decoders:
        image = read(decoders, path)
    assert isinstance(image, DecodedImage)
    assert image.facts == expected.facts
    assert image.pixels.tobytes() == expected.pixels.tobytes()


def test_what_this_process_refuses_is_refused_and_keeps_its_patient(
    tmp_path: Path, write_dicom: Callable[..., Path], ramp: Callable[..., NDArray[Any]]
) -> None:
    path = write_dicom(ramp(), 12, HighBit=15)
    (tmp_path / "note.png").write_text("no image")
    with Decoders() as decoders:
        assert read(decoders, path) == "high bit is not bits stored minus one"
        assert decoders.patient_id(path) == "SECRET-7"
        assert read(decoders, tmp_path / "note.png") == "not a DICOM, PNG or JPEG file"
        assert read(decoders, tmp_path / "gone.png") == "file cannot be read"
        assert decoders.patient_id(tmp_path / "gone.png") is None


def test_a_picture_stays_while_others_are_decoded(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for number, path in enumerate(paths):
        write_encoded(path, noisy_picture(40, 48, number), "native")
    with (
        Decoders() as decoders,
        decoders.decoded(paths[0]) as first,
        decoders.decoded(paths[1]) as second,
    ):
        third = read(decoders, paths[2])
        assert not isinstance(third, str)
        for path, image in zip(paths, (first, second, third), strict=True):
            assert isinstance(image, DecodedImage)
            np.testing.assert_array_equal(image.pixels, decode(path).pixels)


@pytest.mark.parametrize("crash", [signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS])
def test_the_image_that_crashes_its_decoder_is_refused(
    good: Path, stuck: Path, helpers_of: HelpersOf, crash: signal.Signals
) -> None:
    with Decoders() as decoders, ThreadPoolExecutor() as pool:
        refused = pool.submit(read, decoders, stuck)
        (helper,) = helpers_of()
        os.kill(helper, crash)
        assert refused.result() == "the image decoder crashed"
        assert isinstance(read(decoders, good), DecodedImage)


def test_a_crash_that_an_earlier_file_may_have_caused_is_tried_again(
    good: Path, stuck: Path, helpers_of: HelpersOf
) -> None:
    with Decoders() as decoders, ThreadPoolExecutor() as pool:
        read(decoders, good)
        (used,) = helpers_of()
        image = pool.submit(read, decoders, stuck)
        os.kill(used, signal.SIGABRT)
        # Who reads may be the one that was killed, so the next one gets it as well.
        while not image.done():
            with suppress(OSError), open(os.open(stuck, os.O_WRONLY | os.O_NONBLOCK), "wb") as file:
                file.write(b"no image")
            time.sleep(0.01)
        assert image.result() == "not a DICOM, PNG or JPEG file"
        assert used not in helpers_of()


def test_a_helper_that_is_killed_is_no_crash_of_the_decoder(
    good: Path, stuck: Path, helpers_of: HelpersOf
) -> None:
    with Decoders() as decoders, ThreadPoolExecutor() as pool:
        refused = pool.submit(read, decoders, stuck)
        first = helpers_of()
        os.kill(first[0], signal.SIGKILL)
        while not (second := [helper for helper in helpers_of() if helper not in first]):
            pass
        os.kill(second[0], signal.SIGKILL)
        assert "killed, as the system does when memory runs out" in str(refused.result())
        assert isinstance(read(decoders, good), DecodedImage)


def test_an_image_that_takes_too_long_is_refused(
    good: Path, stuck: Path, helpers_of: HelpersOf, all_end: AllEnd
) -> None:
    with Decoders(seconds=0.5) as decoders, ThreadPoolExecutor() as pool:
        refused = pool.submit(read, decoders, stuck)
        helpers = helpers_of()
        assert refused.result() == "decoding takes longer than 0.5 seconds"
        assert all_end(helpers)
    with Decoders() as decoders:
        assert isinstance(read(decoders, good), DecodedImage)


def test_memory_is_limited_by_the_largest_image_that_is_allowed(
    write_dicom: Callable[..., Path], ramp: Callable[..., NDArray[Any]], tmp_path: Path
) -> None:
    path = write_dicom(ramp(), 12)
    data = path.read_bytes()
    place = data.index(b"\x08\x00\x16\x00UI")  # SOP Class UID is the first after the meta
    with path.open("wb") as file:
        file.write(data[:place] + b"\x07\x00\x10\x10OB\0\0" + (2**30).to_bytes(4, "little"))
        file.seek(2**30, os.SEEK_CUR)  # a hole: no disk is used
        file.write(data[place:])
    with Decoders(maximum_pixels=10_000) as decoders:
        assert read(decoders, path) == (
            "decoding takes more memory than the largest image that is allowed"
        )
        assert decoders.patient_id(path) is None


def test_the_limit_is_what_the_owner_sets(tmp_path: Path) -> None:
    for encoding in ("native", "JPEG 2000", "PNG", "JPEG"):
        path = tmp_path / f"{encoding}.dcm"
        write_encoded(path, noisy_picture(100, 101, 0), encoding)
        with Decoders(10_099) as small, Decoders(10_100) as large:
            assert read(small, path) == "larger than 0.010099 megapixels"
            assert isinstance(read(large, path), DecodedImage)


def test_helpers_are_replaced_when_their_template_is_gone(
    good: Path, helpers_of: HelpersOf, own_template: None, all_end: AllEnd
) -> None:
    with Decoders() as decoders:
        read(decoders, good)
        (helper,) = helpers_of()
        (running,) = template._templates
        running.process.kill()
        assert all_end([running.process.pid, helper])
        assert isinstance(read(decoders, good), DecodedImage)


def test_closing_ends_the_helpers_at_work(
    stuck: Path, helpers_of: HelpersOf, all_end: AllEnd
) -> None:
    decoders = Decoders()
    with ThreadPoolExecutor() as pool:
        refused = pool.submit(read, decoders, stuck)
        helpers = helpers_of()
        decoders.close()
        assert isinstance(refused.result(), str)
    assert all_end(helpers)


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("executable", "/nonexistent/python", "/nonexistent/python: No such file"),
        ("executable", "/bin/false", "it ended with 1"),
        ("path", [], "ModuleNotFoundError: No module named 'PIL'"),
    ],
)
def test_a_helper_that_cannot_start_is_an_error_that_says_why(
    good: Path, own_template: None, monkeypatch: pytest.MonkeyPatch,
    attribute: str, value: Any, why: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, attribute, value)
    with Decoders() as decoders, pytest.raises(FedThawError) as caught:
        read(decoders, good)
    assert "The process that decodes images cannot start" in str(caught.value)
    assert why in str(caught.value)
    assert "/" not in caught.value.shareable


# Processes of a user's own: scripts without a main guard, ended in every way.


def start(script: str, *words: object, **options: Any) -> subprocess.Popen[str]:
    """Run a script from standard input, as a notebook runs cells: there is no file of it."""
    head = """
        import os, sys
        from pathlib import Path
        from client.imaging.decoders import Decoders
    """
    process = subprocess.Popen(
        [sys.executable, "-", *map(str, words)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(textwrap.dedent(head) + textwrap.dedent(script))
    process.stdin.close()
    process.stdin = None
    return process


def test_no_main_guard_is_needed_and_a_fork_has_helpers_of_its_own(good: Path) -> None:
    script = """
        with Decoders() as decoders:
            with decoders.decoded(Path(sys.argv[1])) as image:
                print(image.pixels.shape, flush=True)
        child = os.fork()
        with Decoders() as decoders:
            with decoders.decoded(Path(sys.argv[1])) as image:
                print(image.pixels.shape, flush=True)
        if child:
            os.waitpid(child, 0)
    """
    out, err = start(script, good).communicate(timeout=120)
    assert (out, err) == ("(40, 48)\n" * 3, "")


BLOCK = """
    with Decoders() as decoders:
        with decoders.decoded(Path(sys.argv[1])):
            pass
"""


@pytest.mark.parametrize(
    "ending",
    [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
)
def test_helpers_end_with_the_process_that_they_belong_to(
    stuck: Path, helpers_of: HelpersOf, all_end: AllEnd, ending: signal.Signals
) -> None:
    process = start(BLOCK, stuck)
    helpers = helpers_of(process.pid)
    os.killpg(process.pid, ending)  # as a terminal does with Ctrl-C: to the whole group
    _, err = process.communicate(timeout=120)
    assert all_end(helpers)
    # Its own alone, which may come while it handles another exception: pathlib does so.
    assert err.count("KeyboardInterrupt") == ("Traceback" in err) == (ending == signal.SIGINT)


def test_nothing_of_a_crash_reaches_the_terminal(
    good: Path, stuck: Path, helpers_of: HelpersOf
) -> None:
    process = start(BLOCK.replace("pass", "print('on')"), stuck)
    (helper,) = helpers_of(process.pid)
    os.kill(helper, signal.SIGABRT)
    assert process.communicate(timeout=120) == ("on\n", "")
