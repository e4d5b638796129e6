from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.declared import normalised_value
from client.settings import SiteSettings, load_site
from shared.errors import SiteError
from shared.outcome.binary import BINARY
from shared.outcome.encoding import Encoding

MINIMAL = {
    "site": {"name": '"north"'},
    "data": {
        "images": '"images"',
        "labels": '"labels.csv"',
        "patient": '"patient_id"',
        "outcome": '"grade"',
        "positive": '["severe"]',
        "negative": '["none"]',
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FEDTHAW_CACHE", raising=False)
    folder = tmp_path / "site"
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").touch()
    return folder


def write(folder: Path, changes: dict[str, dict[str, str | None]] | None = None) -> Path:
    """Write MINIMAL with changed keys; a key of None is left out."""
    lines = []
    for section in dict.fromkeys([*MINIMAL, *(changes or {})]):
        table = MINIMAL.get(section, {}) | (changes or {}).get(section, {})
        lines.append(f"[{section}]")
        lines += [f"{key} = {value}" for key, value in table.items() if value is not None]
    (folder / "site.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_minimal_file_takes_the_defaults(folder: Path) -> None:
    settings = load_site(write(folder))
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    assert settings == SiteSettings(
        folder=folder,
        name="north",
        images=folder / "images",
        labels=folder / "labels.csv",
        patient="patient_id",
        image=None,
        outcome="grade",
        encoding=Encoding(BINARY, (("severe",), ("none",))),
        covariate=None,
        device="auto",
        cache=platformdirs.user_cache_path("fedthaw") / "sites" / f"north-{digest}",
        weights=None,
        min_cell=5,
        max_rejected=0.05,
        maximum_pixels=100_000_000,
        features_limit=20_000_000_000,
    )


def test_every_key_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    changes: dict[str, dict[str, str | None]] = {
        "data": {
            "images": '"../films"',
            "image": '" file "',
            "covariate": '"irds"',
            "positive": '[" Moderate ", 3, 4.0]',
            "negative": '[1, "None"]',
        },
        "compute": {
            "device": '"cuda:1"',
            "cache": '"kept"',
            "weights": '"/models/base.safetensors"',
            "features": "2.5",
        },
        "policy": {"min-cell": "11", "max-rejected": "1", "max-megapixels": "20.5"},
    }
    settings = load_site(write(folder, changes))
    assert settings.images == tmp_path / "films"
    assert (settings.image, settings.covariate) == ("file", "irds")
    assert isinstance(settings.encoding, Encoding)
    assert settings.encoding.values == (("moderate", "3", "4"), ("1", "none"))
    assert (settings.device, settings.cache) == ("cuda:1", folder / "kept")
    assert settings.weights == "/models/base.safetensors"
    assert (settings.min_cell, settings.max_rejected) == (11, 1.0)
    assert settings.maximum_pixels == 20_500_000
    assert settings.features_limit == 2_500_000_000


def test_relative_weights_and_folder_become_absolute(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, {"compute": {"weights": '"base.pt"'}})
    monkeypatch.chdir(folder.parent)
    settings = load_site(Path("site"))
    assert settings.folder == folder
    assert settings.weights == str(folder / "base.pt")


def test_the_environment_moves_the_default_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDTHAW_CACHE", str(tmp_path / "fast"))
    assert load_site(write(folder)).cache.parent == tmp_path / "fast" / "sites"


def test_two_sites_of_one_name_have_caches_of_their_own(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    folder.rename(other)
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").touch()
    assert load_site(write(folder)).cache != load_site(write(other)).cache


def test_missing_folder_and_file(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(SiteError, match=r"There is no site folder .*nowhere; give a folder that"):
        load_site(tmp_path / "nowhere")
    with pytest.raises(SiteError, match=r"site\.toml is missing"):
        load_site(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[site\n", r"site\.toml is not valid TOML: .*line 1"),
        (b"name = '\xff'\n", r"site\.toml is not UTF-8 text"),
        (
            b"[site]\nname = " + b"9" * 5000,
            "TOML: it holds an integer with too many digits",
        ),
        (
            b"[site]\nname = " + b"[" * 9000,
            "valid TOML: its values are nested too deeply",
        ),
        (b"site = 3\n", r"site is 3; it must be a section, \[site\]"),
        (b"[[site]]\nname = 'a'\n", r"it must be a section, \[site\]"),
    ],
)
def test_what_is_no_site_file(folder: Path, content: bytes, message: str) -> None:
    (folder / "site.toml").write_bytes(content)
    with pytest.raises(SiteError, match=message):
        load_site(folder)


def test_unreadable_file(folder: Path) -> None:
    (folder / "site.toml").mkdir()
    with pytest.raises(SiteError, match=r"site\.toml cannot be read \(Is a directory\)"):
        load_site(folder)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("compte", "device", '"cpu"', r"unknown section \[compte\]; did you mean 'compute'\?"),
        ("data", "covariates", '"x"', r"unknown key 'covariates' in \[data\]; did you mean 'cov"),
        ("policy", "min_cell", "3", r"unknown key 'min_cell' in \[policy\]; did you mean 'min-c"),
        ("site", "zzz", "3", r"unknown key 'zzz' in \[site\]; known are name"),
        ("data", "patient", None, r"patient is missing in \[data\]; add `patient = \.\.\.`"),
        ("data", "positive", None, r"positive is missing in \[data\]; add"),
        ("site", "name", None, r"name is missing in \[site\]"),
        ("data", "patient", "3", r"patient in \[data\] is 3; it must be text in quotes"),
        ("data", "patient", '" "', r"patient in \[data\] is ' '; it must be text .* not empty"),
        ("data", "positive", '"severe"', r"positive in \[data\] is 'severe'; it must be a list"),
        ("data", "positive", "[]", r"positive in \[data\] is \[\]; it must be a list"),
        ("data", "negative", "[true]", r"negative in \[data\] is \[True\]; it must be a list"),
        ("data", "negative", '["SEVERE "]', r"'severe' stands in both positive and negative"),
        ("policy", "min-cell", "0", r"min-cell in \[policy\] is 0; it must be an integer"),
        ("policy", "min-cell", "2.5", r"min-cell in \[policy\] is 2\.5; it must be an integer"),
        ("policy", "min-cell", "true", r"min-cell in \[policy\] is True; it must be an integer"),
        ("policy", "max-rejected", "1.5", r"max-rejected in \[policy\] is 1\.5; .* from 0 to 1"),
        ("policy", "max-rejected", "nan", r"max-rejected in \[policy\] is nan; it must"),
        ("policy", "max-rejected", "false", r"max-rejected in \[policy\] is False; it must"),
        ("policy", "max-megapixels", "0", r"is 0; it must be a number of megapixels from 0.01"),
        ("policy", "max-megapixels", "1001", r"is 1001; it must be a number of megapixels"),
        ("policy", "max-megapixels", "inf", r"is inf; it must be a number of megapixels"),
        ("policy", "max-megapixels", "true", r"is True; it must be a number of megapixels"),
        ("compute", "device", '"gpu"', r"device in \[compute\] is 'gpu'; it must be auto, cpu"),
        ("compute", "features", "-1", r"features in \[compute\] is -1; it must be a number of gig"),
        (
            "compute",
            "features",
            '"20"',
            r"features in \[compute\] is '20'; it must be",
        ),
        ("compute", "features", "inf", r"features in \[compute\] is inf; it must be a number"),
        ("compute", "features", "true", r"features in \[compute\] is True; it must be a number"),
        ("site", "name", '"-north"', r"name in \[site\] is '-north'; it must be 1 to 64"),
        ("site", "name", '"no rth"', r"name in \[site\] is 'no rth'"),
        ("site", "name", '"north\\n"', r"name in \[site\] is 'north\\n'"),
        ("site", "name", f'"{"n" * 65}"', r"name in \[site\] is 'n{65}'"),
        ("data", "images", '"labels.csv"', r"images in \[data\] is 'labels\.csv', but there is no"),
        ("data", "labels", '"no.csv"', r"labels in \[data\] is 'no\.csv', but there is no file /"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    folder: Path, section: str, key: str, value: str | None, message: str
) -> None:
    write(folder, {section: {key: value}})
    with pytest.raises(SiteError, match=message) as caught:
        load_site(folder)
    assert str(folder / "site.toml") in str(caught.value)


@pytest.mark.parametrize(("value", "limit"), [("0", 0), ("0.001", 10**6), ("7", 7 * 10**9)])
def test_gigabytes_of_features(folder: Path, value: str, limit: int) -> None:
    assert load_site(write(folder, {"compute": {"features": value}})).features_limit == limit


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:12"])
def test_devices(folder: Path, device: str) -> None:
    assert load_site(write(folder, {"compute": {"device": f'"{device}"'}})).device == device


@given(st.integers(-(10**9), 10**9))
def test_a_whole_number_is_one_outcome_however_it_is_written(number: int) -> None:
    assert normalised_value(number) == normalised_value(float(number)) == str(number)
    assert normalised_value(f" {number}.00 ") == str(number)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised_value(normalised_value(text)) == normalised_value(text)


@given(st.text(max_size=8))
def test_accents_count_however_they_are_written(text: str) -> None:
    """As `clean` has a table's cell; an editor may write site.toml the other way."""
    forms = {normalised_value(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert len({normalised_value(text), *forms}) == 1


@pytest.mark.parametrize("name", ["~$labels.xlsx", "~nobody-here/labels.csv"])
def test_a_tilde_that_names_no_user_is_part_of_the_name(folder: Path, name: str) -> None:
    """Excel's lock file begins so."""
    with pytest.raises(SiteError, match="there is no file"):
        load_site(write(folder, {"data": {"labels": f'"{name}"'}}))
    (folder / "~$labels.xlsx").touch()
    if "/" not in name:
        assert load_site(folder).labels == folder / name
