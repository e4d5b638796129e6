from __future__ import annotations

import os
import stat
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from client.features.store import FeatureKey, FeatureStore, arithmetic_of

KEY = FeatureKey("sha256:0", "layer4", "micro", "32-pad-v2", "plain", "cpu float32", "float16")
IMAGE, OTHER = "ab" * 32, "cd" * 32
DISK = "client.features.store.shutil.disk_usage"


def features(views: int = 3) -> Tensor:
    return torch.randn(views, 4, 2, 2, generator=torch.Generator().manual_seed(views)).half()


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features", 10**9)


def reopened(store: FeatureStore) -> FeatureStore:
    """As another process sees it."""
    return FeatureStore(store.root, store.limit)


def test_every_view_comes_back_as_it_was(store: FeatureStore) -> None:
    kept = features()
    assert not store.has(KEY, IMAGE)
    assert store.read(KEY, IMAGE, 0) is None
    store.write(KEY, IMAGE, kept.to(memory_format=torch.channels_last))
    assert store.has(KEY, IMAGE)
    for _ in range(2):  # the second time without the checksum
        for view in range(3):
            found = store.read(KEY, IMAGE, view)
            assert found is not None
            assert torch.equal(found, kept[view])


@pytest.mark.parametrize("name", [field.name for field in fields(FeatureKey)])
def test_another_key_finds_nothing(store: FeatureStore, name: str) -> None:
    store.write(KEY, IMAGE, features())
    change: dict[str, Any] = {name: 2 if name == "version" else getattr(KEY, name) + "x"}
    other = replace(KEY, **change)
    assert not store.has(other, IMAGE)
    assert store.read(other, IMAGE, 0) is None
    # Were the folder's name the same all the same, the file itself would tell.
    store.path(other, IMAGE).parent.mkdir(parents=True)
    store.path(KEY, IMAGE).rename(store.path(other, IMAGE))
    assert store.read(other, IMAGE, 0) is None


def test_a_file_under_another_images_name_is_not_used(store: FeatureStore) -> None:
    store.write(KEY, IMAGE, features())
    store.path(KEY, OTHER).parent.mkdir(parents=True)
    store.path(KEY, IMAGE).rename(store.path(KEY, OTHER))
    assert store.read(KEY, OTHER, 0) is None


@pytest.mark.parametrize("damage", ["cut", "header", "empty", "bit", "zeros", "bare", "views"])
def test_a_damaged_file_is_not_used_and_makes_way(store: FeatureStore, damage: str) -> None:
    store.write(KEY, IMAGE, features())
    path = store.path(KEY, IMAGE)
    data = path.read_bytes()
    match damage:
        case "bare":
            save_file(load_file(path), path)
        case "views":
            store.write(KEY, IMAGE, features(2))
        case _:
            path.write_bytes(
                {
                    "cut": data[:-1],
                    "header": data[:11],
                    "empty": b"",
                    "bit": data[:-1] + bytes([data[-1] ^ 1]),
                    "zeros": data[:-24] + bytes(24),
                }[damage]
            )
    assert reopened(store).read(KEY, IMAGE, 2) is None
    assert not store.has(KEY, IMAGE)


def test_what_was_read_outlives_its_file(store: FeatureStore) -> None:
    """Another process may replace or remove a file while its features are in use."""
    kept = features()
    store.write(KEY, IMAGE, kept)
    found = store.read(KEY, IMAGE, 1)
    store.write(KEY, IMAGE, torch.zeros_like(kept))
    store.remove([KEY])
    assert found is not None
    assert torch.equal(found, kept[1])
    assert store.read(KEY, IMAGE, 1) is None


def test_only_this_user_may_look(store: FeatureStore) -> None:
    umask = os.umask(0)
    try:
        store.write(KEY, IMAGE, features())
    finally:
        os.umask(umask)
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in [store.root, *store.root.rglob("*")]}
    assert len(modes) == 4
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


def fill(store: FeatureStore, names: str) -> dict[str, FeatureKey]:
    """Folders of equal size, used one after the other."""
    keys = {name: replace(KEY, views=name) for name in names}
    for age, key in enumerate(keys.values()):
        store.write(key, IMAGE, features())
        os.utime(store.root / key.folder, (age, age))
    return keys


def size_of(store: FeatureStore) -> int:
    return sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())


def test_what_was_not_used_for_longest_makes_room(store: FeatureStore) -> None:
    keys = fill(store, "abcd")
    one = size_of(store) // 4
    store.limit = 4 * one
    store.used([keys["b"]])
    assert store.make_room(one, [keys["a"]])
    assert {name for name in keys if store.has(keys[name], IMAGE)} == set("abd")
    assert store.make_room(1, [keys["a"]])
    assert {name for name in keys if store.has(keys[name], IMAGE)} == set("abd")
    assert store.make_room(one + 1, [keys["a"]])
    assert {name for name in keys if store.has(keys[name], IMAGE)} == set("ab")
    # What is to keep stays, even where the room is not enough then; and so do the others, in vain.
    assert not store.make_room(3 * one + 1, [keys["a"]])
    assert {name for name in keys if store.has(keys[name], IMAGE)} == set("ab")


def test_room_is_the_limit_but_for_what_is_kept_besides(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = fill(store, "abc")
    one = size_of(store) // 3
    assert store.room([]) == 10**9
    assert store.room([keys["a"], keys["b"]]) == 10**9 - 2 * one
    # A disk with little left: 2 GiB stay free, and what may be removed counts as free.
    free = 2 * 1024**3 + 5
    monkeypatch.setattr(DISK, lambda _: SimpleNamespace(free=free))
    assert store.room([keys["a"]]) == 5 + 2 * one
    assert store.room([]) == 5 + 3 * one
    free = 1024**3
    assert store.room([]) == 0
    store.limit = 0
    assert store.room([]) == 0


def test_tidying_removes_leftovers_and_what_is_beyond_the_limit(store: FeatureStore) -> None:
    store.tidy()
    keys = fill(store, "abc")
    one = size_of(store) // 3
    old, new = (store.path(keys["c"], IMAGE).with_name(f"tmp{n}.partial") for n in (1, 2))
    old.write_bytes(b"torn")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    store.tidy()
    assert not old.exists()
    assert new.exists()
    assert size_of(store) == 3 * one
    store.limit = 2 * one
    os.utime(store.root / keys["c"].folder, (2, 2))
    store.tidy()
    assert {name for name in keys if store.has(keys[name], IMAGE)} == set("bc")
    store.limit = 0
    store.tidy()
    assert list(store.root.iterdir()) == []


def test_two_models_of_gpu_have_two_keys_and_a_cpu_the_one_of_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["NVIDIA A100", "NVIDIA H200"]
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: names[device.index])
    one, other = (arithmetic_of(torch.device("cuda", n), torch.bfloat16) for n in range(2))
    assert one == f"cuda NVIDIA A100 bfloat16 torch {torch.__version__}"
    assert replace(KEY, arithmetic=one).folder != replace(KEY, arithmetic=other).folder
    on_cpu = arithmetic_of(torch.device("cpu"), torch.float32)
    assert on_cpu == f"cpu float32 torch {torch.__version__}"
