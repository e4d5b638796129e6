"""Settings from a TOML file: --config."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.settings.file import given_settings, read_settings_file
from shared.settings.parse import parse_run_config
from shared.settings.setting import key_of

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | bytes], Path]:
    path = tmp_path_factory.mktemp("settings") / "run.toml"

    def write_text(content: str | bytes) -> Path:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_text


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "image-size": st.integers(32, 4096),
        "dropout": st.floats(0, 0.9),
        "lr-head": st.integers(0, 10),  # an integer where a number is asked for
        "tensorboard": st.booleans(),
        "sampling": st.sampled_from(["balanced", "shuffle"]),
        "weights": st.text(st.characters(exclude_categories=["C"]), min_size=1),
    },
)


@given(file=VALUES, words=VALUES)
def test_set_wins_over_the_file(
    write: Callable[[str], Path], file: dict[str, object], words: dict[str, object]
) -> None:
    path = write(
        "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in file.items())
    )
    # As a shell passes them: text without quotes.
    texts = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in words.items()]
    assert parse_run_config(given_settings(path, texts)) == parse_run_config({**file, **words})


def test_set_wins_over_the_file_under_an_earlier_name_too(write: Callable[[str], Path]) -> None:
    path = write('thaw-at = "0.2,0.4,0.5"\n')
    config = parse_run_config(given_settings(path, ["unfreeze-layer4=0.05"]))
    assert config.thaws["layer4"] == 0.05


@pytest.mark.parametrize(
    ("file", "words", "expected"),
    [
        ("recompute = true\n", [], "recompute"),
        ("recompute = false\n", [], "exact"),
        ("recompute = true\n", ["recompute=false"], "exact"),
        ("recompute = true\n", ["activations=int8"], "int8"),
        ('activations = "int4"\n', ["recompute=true"], "recompute"),
        ('activations = "int4"\nrecompute = false\n', [], "int4"),
    ],
)
def test_recompute_is_an_earlier_name_of_a_value_of_activations(
    write: Callable[[str], Path], file: str, words: list[str], expected: str
) -> None:
    config = parse_run_config(given_settings(write(file), words))
    assert config.activations == expected
    assert parse_run_config(config.to_flat()) == config


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("rounds = 'x'", "rounds is 'x'; it must be an integer"),
        ("rounds = 1.5", "rounds is 1.5; it must be an integer"),
        ("recompute = 1", "recompute is 1; it must be true or false"),
        ("image-size = 16", "image-size is 16; it must lie in 32 to 4096"),
        ("dropout = nan", "dropout is nan; it must lie in 0 to 0.9"),
        ("strategy = 'fedavgg'", "strategy is 'fedavgg'; it must be one of fedavg"),
        ("weights = 2026-11-28", "weights is datetime.*; it must be text"),
        ("image_size = 64", "Unknown setting 'image_size'; did you mean 'image-size'"),
        ("[settings]\nrounds = 2", r"\[settings\] is a table; settings go at the top"),
        ("rounds = [2]", "rounds is \\[2\\]; it must be an integer"),
        ("unfreeze-layer4 = 'x'", "unfreeze-layer4 is 'x'; it must be a number"),
        ("out = 'runs/1'", "out is not set in a file"),
        ("weights-sha256 = 'abc'", "weights-sha256 is 'abc'; it must be 64"),
        ("backbone = 'micro'\nrates = 'layer9=1'", "'layer9' is not a stage before its head"),
        ("rounds : 2", "not valid TOML: .*at line 1"),
        (f"rounds = {'9' * 5000}", "not valid TOML: .*digits"),
        ("rounds = 2\nrounds = 3", "not valid TOML: Cannot overwrite a value .* each setting once"),
        (b"weights = '\xff'", "not UTF-8 text"),
        ("#" * 200_000, "more than 100 kB"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(
    write: Callable[[str | bytes], Path], content: str | bytes, said: str
) -> None:
    path = write(content)
    with pytest.raises(ConfigError, match=said) as raised:
        read_settings_file(path)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        read_settings_file(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_settings_file(tmp_path)


def test_stages_of_a_backbone_that_is_set_elsewhere(write: Callable[[str], Path]) -> None:
    path = write('thaw-at = "denseblock4=0.1"\n')
    config = parse_run_config(given_settings(path, ["backbone=densenet121"]))
    assert config.thaws == {"denseblock4": 0.1}


def test_a_byte_order_mark_and_windows_lines(write: Callable[[str | bytes], Path]) -> None:
    path = write(b"\xef\xbb\xbfrounds = 2\r\nimage-size = 64\r\n")
    assert read_settings_file(path) == {"rounds": 2, "image-size": 64}


def test_the_template_has_every_setting_and_changes_none(
    write: Callable[[str], Path], here: Here
) -> None:
    code, template, _ = here("settings", "--toml")
    assert code == 0
    assert read_settings_file(write(template)) == {}
    lines = template.splitlines()
    chosen = [line.removeprefix("#") for line in lines if line[:1] == "#" and line[1:2] not in " "]
    found = read_settings_file(write("\n".join(chosen)))
    own = {"sites", "out", "resume", "pooled", "quick"}
    known = {key_of(item.name) for item in dataclasses.fields(RunConfig)} - own
    assert found.keys() == known
    assert parse_run_config(found) == RunConfig()


@pytest.mark.parametrize("command", ["simulate", "study"])
def test_the_commands_take_it(
    command: str, write: Callable[[str], Path], here: Here, tmp_path: Path
) -> None:
    path = write("rounds = -1\n")
    code, _, said = here(command, tmp_path, "--config", path)
    assert code == 2
    assert said == f"fedthaw: {path}: rounds is -1; it must lie in 0 to 100000.\n"
