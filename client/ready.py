"""What is known of site folders without reading an image: settings, weights, device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from client.data.labels import read_labels
from client.data.matching import classify
from client.declared_outcome import require_outcome
from client.model.device import choose_device
from client.settings import load_site
from shared.errors import FedThawError, SiteError, WeightsError
from shared.model.pretrained import checkpoint_in_place
from shared.settings.config import RunConfig


def require_ready(folders: Sequence[Path], config: RunConfig) -> None:
    """SiteError with all that is wrong at all of these folders, if anything is.

    Where a folder cannot take part, the tables of the others are read as well, so that one error
    names all that has to be fixed.
    """
    problems = [_problem(folder, config) for folder in folders]
    if any(problems):
        found = zip(folders, problems, strict=True)
        named = [problem or _problem_of_table(folder) for folder, problem in found]
        raise SiteError(" ".join(filter(None, named)))


def _problem(folder: Path, config: RunConfig) -> str | None:
    try:
        settings = load_site(folder)
        require_outcome(settings, config)
        choose_device(settings)
        _require_weights(settings.name, settings.weights, config)
        _require_writable(settings.name, settings.cache)
    except FedThawError as error:
        return str(error)
    return None


def _problem_of_table(folder: Path) -> str | None:
    """What the table of outcomes alone shows; images may show more."""
    settings = load_site(folder)
    try:
        classes = classify(settings, read_labels(settings).rows).classes
    except FedThawError as error:
        return str(error)
    return " ".join(
        f"Site '{settings.name}' has no {one.word} patient; check the {one.word} list in [data] of "
        "site.toml."
        for one in settings.encoding.outcome.classes
        if settings.encoding.outcome.every_class and one.label not in classes
    )


def _require_weights(site: str, own: str | None, config: RunConfig) -> None:
    if own is None or config.weights == "random":  # from nothing: the site's file is not read
        return
    path = checkpoint_in_place(config, own)
    if path is not None and not path.is_file():
        raise WeightsError(
            f"There is no weights file {path}, which site.toml of {site} names; correct weights in "
            "[compute] there."
        )


def _require_writable(site: str, cache: Path) -> None:
    """SiteError where the cache, or the folder that it would be made in, takes no files."""
    here = next(path for path in (cache, *cache.parents) if path.exists())
    if not here.is_dir() or not os.access(here, os.W_OK | os.X_OK):
        raise SiteError(
            f"The image cache {cache} of {site} cannot be written; check the permissions of "
            f"{here}, or name another folder with `cache` in [compute] of site.toml."
        )
