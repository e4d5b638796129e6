"""A cache of its own for every test session, one thread, and sites of tiny pictures."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import logging
import os
import random
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from PIL import Image

from shared.terminal import cli

# PyTorch is imported in functions: the process that hands out the tests to others runs none.
if TYPE_CHECKING:
    from shared.settings.config import RunConfig

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("fedthaw", deadline=None)
hypothesis.settings.load_profile("fedthaw")

SITE = """
[site]
name = "{name}"
[data]
images = "images"
labels = "labels.csv"
patient = "patient"
image = "file"
outcome = "outcome"
positive = ["sick"]
negative = ["well"]
[compute]
device = "cpu"
{more}
[policy]
min-cell = {min_cell}
{policy}
"""

SMALL = """least-training-patients = 2
least-held-out-patients = 1
least-difference = 1
least-steps = 1
largest-batch = 1.0
unaugmented-statistics = true"""
"""Rules that let sites of a dozen patients take part, with the splits that the seed gives."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only the slow tests run, import only the files that have some: a tenth of all."""
    if config.option.markexpr != "slow" or not collection_path.is_file():
        return None
    has_slow_tests = b"mark.slow" in collection_path.read_bytes()
    return None if has_slow_tests else True


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from walking, again and again, what stays until the end.

    Half a million objects of libraries and tests, a tenth of the time of all tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        # As it was, for libraries that complain at the process's end of what is never freed; not
        # before, since pytest collects twice in its last moments.
        atexit.register(gc.unfreeze)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each of xdist's workers begin with what takes long: none does at the end, alone.

    A worker is given a part of the list, and later takes from the ends of others' parts.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    total, long, rest = len(items), list[pytest.Item](), list[pytest.Item]()
    for item in items:
        (long if _is_long(item) else rest).append(item)
    long.sort(key=_limit, reverse=True)
    items.clear()
    for number in range(workers):
        own = long[number::workers]
        more = max(0, (total - len(items)) // (workers - number) - len(own))
        items += own + rest[:more]
        del rest[:more]
    items += rest


def _is_long(item: pytest.Item) -> bool:
    return "slow" in item.keywords or "processes" in item.path.parts


def _limit(item: pytest.Item) -> float:
    """Seconds; those that may take longest do."""
    marked = item.get_closest_marker("timeout")
    return float(marked.args[0]) if marked is not None else 0.0


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port of the loopback on which nothing listens, another at each call.

    It lies below the range from which systems give ports to outgoing connections (32768 and up on
    Linux), of which tests open thousands: none of them takes it before a server does. Drawn by
    chance, so that tests side by side hardly ever draw the same.
    """
    chance = random.SystemRandom()

    def draw() -> int:
        while True:
            port = chance.randrange(20_000, 32_000)
            with contextlib.suppress(OSError), socket.create_server(("", port)):
                return port

    return draw


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test uses the user's cache or MLflow; sites keep apart in the cache by their folders."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("FEDTHAW_CACHE", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C reach the processes: a shell starts what it puts in the background without it.

    A signal that is ignored stays so in a new program; one that has a handler falls to its default.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What only a power cut would show; the tests of the order of writing note the call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _unmeasured() -> Iterator[Any]:
    """No run measures how long it will take, a fifth of the time of such small ones.

    Those that do name the fixture `measured`. Gives what measures.
    """
    from server.simulation.grid import InProcessGrid

    measure = InProcessGrid.expected_seconds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InProcessGrid, "expected_seconds", lambda *_: None)
        yield measure


@pytest.fixture
def measured(_unmeasured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs measure how long they will take, as they do for a user."""
    from server.simulation.grid import InProcessGrid

    monkeypatch.setattr(InProcessGrid, "expected_seconds", _unmeasured)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plot is drawn, most of the time of writing a report, where a test looks at none."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    def print_svg(canvas: FigureCanvasSVG, file: io.StringIO, **_: object) -> None:
        file.write('<svg viewBox="0 0 1 1"></svg>')

    monkeypatch.setattr(FigureCanvasSVG, "print_svg", print_svg)


@pytest.fixture(scope="session", autouse=True)
def _quiet_and_single_threaded() -> Iterator[None]:
    """Small networks on a busy machine lose more by sharing the cores than they gain."""
    import torch

    threads, level = torch.get_num_threads(), logging.getLogger("flwr").level
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    yield
    torch.set_num_threads(threads)
    logging.getLogger("flwr").setLevel(level)


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit code, output, errors."""

    def run(*words: object) -> tuple[int, str, str]:
        code = cli.run(cli.app, [str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def write_site() -> Callable[..., Path]:
    """Write a site folder of PNGs, 32 pixels square; the sick have a brighter lower half.

    `more` are lines of [compute], `policy` of [policy], empty for the default rules. Every third
    patient has two images. Patients are called P0, P1, ... at every site.
    """

    def write(
        parent: Path,
        name: str,
        patients: int = 12,
        *,
        seed: int = 0,
        contrast: float = 40.0,
        min_cell: int = 1,
        more: str = "",
        policy: str = SMALL,
    ) -> Path:
        rng = np.random.default_rng(seed)
        (parent / name / "images").mkdir(parents=True)
        rows = ["patient,file,outcome"]
        for number in range(patients):
            sick = number % 2
            for index in range(2 if number % 3 == 0 else 1):
                pixels = rng.normal(90, 30, (32, 32))
                pixels[16:] += contrast * sick
                file = f"{name}-{number}-{index}.png"
                grey = np.clip(pixels, 0, 255).astype(np.uint8)
                Image.fromarray(grey).save(parent / name / "images" / file)
                rows.append(f"P{number},{file},{'sick' if sick else 'well'}")
        (parent / name / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        text = SITE.format(name=name, more=more, min_cell=min_cell, policy=policy)
        (parent / name / "site.toml").write_text(text, encoding="utf-8")
        return parent / name

    return write


@pytest.fixture(scope="session")
def micro_config() -> Callable[..., RunConfig]:
    """A run configuration of the smallest network on the smallest images."""
    from shared.settings.config import RunConfig

    def make(**changes: Any) -> RunConfig:
        small: dict[str, Any] = {
            "backbone": "micro",
            "weights": "random",
            "image_size": 32,
            "schedule": "progressive",
            "probe_rounds": 1,
            "rounds": 4,
            "threads": 1,
        }
        return RunConfig(**(small | changes))

    return make


@pytest.fixture(scope="session")
def plain() -> dict[str, Any]:
    """Float32, and nothing drawn while training but the order of the images."""
    return {
        "precision": "float32",
        "update_dtype": "float32",
        "feature_cache": "off",
        "dropout": 0.0,
        "sampling": "shuffle",
        "augmentation": "none",
        "cutmix_probability": 0.0,
    }


@pytest.fixture(scope="session")
def plain_config(
    micro_config: Callable[..., RunConfig], plain: dict[str, Any]
) -> Callable[..., RunConfig]:
    """As `micro_config`, with these settings."""

    def make(**changes: Any) -> RunConfig:
        return micro_config(**(plain | changes))

    return make


@pytest.fixture(scope="session")
def write_base() -> Callable[..., Path]:
    """Write a checkpoint whose BatchNorm has seen data, as a pretrained network's has."""
    import torch
    from safetensors.torch import save_file

    from shared.model.network import build_network

    def write(path: Path, backbone: str = "micro", *, head: bool = False, seed: int = 1) -> Path:
        network = build_network(backbone, dropout=0.0, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the plain mean over the batches
        network.train()
        with torch.no_grad():
            for _ in range(4):
                network(torch.randn(16, 1, 64, 64, generator=generator) * 400)
        state = network.state_dict()
        kept = {key: value for key, value in state.items() if head or not key.startswith("fc.")}
        save_file(kept, path)
        return path

    return write


@pytest.fixture(scope="session")
def write_finished(
    write_base: Callable[..., Path], micro_config: Callable[..., RunConfig]
) -> Callable[..., Path]:
    """Write the folder of a finished run whose network has seen data; returns it."""

    def write(folder: Path, calibration: dict[str, Any] | None = None, **changes: Any) -> Path:
        config = micro_config(**({"weights": "base.safetensors"} | changes))
        folder.mkdir(parents=True)
        write_base(folder / "model.safetensors", config.backbone, head=True)
        document = {"run": "r-1", "config": config.to_flat(), "base": {"digest": "sha256:ab"}}
        (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
        if calibration is not None:
            text = json.dumps(calibration)
            (folder / "calibration.json").write_text(text, encoding="utf-8")
        return folder

    return write
