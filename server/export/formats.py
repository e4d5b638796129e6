"""A run's final model in the formats of other programs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypedDict

from server.export.readme import readme
from shared.errors import ConfigError, RunError
from shared.outcome.binary import BINARY
from shared.run.events import Noted, Warned, emit
from shared.run.finished import NOTICE, Calibration, FinishedRun
from shared.settings.config import RunConfig
from shared.storage.files import write_atomically, write_text_atomically
from shared.storage.json_file import DamagedFile, read_json, typed

UNCHECKED = (
    "model.onnx is written, but its output was not compared with the run's model: that needs the "
    "package onnxruntime (pip install onnxruntime)."
)
FORMATS = ("safetensors", "onnx")


class _Facts(TypedDict, total=False):
    """What is read of model.json."""

    run: str


def export(finished: FinishedRun, folder: Path, formats: Collection[str]) -> tuple[Path, ...]:
    """Write the model in `formats` (of `FORMATS`), model.json and README.md; the files written.

    README.md describes all that lie there of the run's, those of earlier exports too.

    Equal runs give equal files. Each model is loaded back and compared with the run's own before
    it is put in place: RunError where one computes otherwise, and then nothing that was there has
    changed. ConfigError for ONNX where its packages are missing, and where the folder has another
    run's model of another format that would stay beside this one; WeightsError where the model is
    damaged, OSError where the folder cannot be written.
    """
    _require_no_other_model(finished, folder, formats)
    facts = _facts(finished)
    onnx = _to_onnx(finished, facts) if "onnx" in formats else None  # first: it may be refused
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if "safetensors" in formats:
        written.append(folder / "model.safetensors")
        write_atomically(
            _unchecked(written[-1]), lambda file: shutil.copyfile(finished.model, file)
        )
    if onnx is not None:
        written.append(folder / "model.onnx")
        write_atomically(_unchecked(written[-1]), lambda file: file.write_bytes(onnx))
    for file in written:
        _check(finished, file)
    for file in written:
        os.replace(_unchecked(file), file)
    written += [folder / "model.json", folder / "README.md"]
    write_text_atomically(written[-2], json.dumps(facts, indent=1) + "\n")
    # Of this run's earlier exports, too: they stay beside it.
    there = [name for name in FORMATS if (folder / f"model.{name}").exists()]
    write_text_atomically(written[-1], readme(finished, there))
    return tuple(written)


def _require_no_other_model(finished: FinishedRun, folder: Path, formats: Collection[str]) -> None:
    others = [folder / f"model.{name}" for name in FORMATS if name not in formats]
    left = [one for one in others if one.exists() and not one.samefile(finished.model)]
    if left and _run_of(folder / "model.json") != finished.stored.run:
        raise ConfigError(
            f"{left[0]} may be another run's model, but model.json and README.md beside it would "
            f"describe run {finished.stored.run}; name another folder with --out, or export all "
            f"formats (--format {','.join(FORMATS)})."
        )


def _run_of(facts: Path) -> str | None:
    """The run that an earlier export was of."""
    try:
        return typed(read_json(facts), _Facts).get("run")
    except (OSError, DamagedFile):
        return None


def _unchecked(file: Path) -> Path:
    """Where a model lies until it has been compared."""
    return file.with_name(f"{file.name}.unchecked")


def _check(finished: FinishedRun, file: Path) -> None:
    """Compare the model that is to become `file` with the run's own, and say the result."""
    from server.export.check import check_onnx, check_safetensors  # they bring torch

    check = check_safetensors if file.suffix == ".safetensors" else check_onnx
    try:
        agreement = check(finished, _unchecked(file))
    except RunError as error:
        raise RunError(
            f"{file.name} was not exported. {error} It is kept as {_unchecked(file)}, and nothing "
            "else has changed; export it again, and report this fault if it happens again."
        ) from error
    emit(Noted(agreement.sentence(file.name)) if agreement else Warned(UNCHECKED))


def _to_onnx(finished: FinishedRun, facts: dict[str, Any]) -> bytes:
    # Imported here: it brings torch, and wants packages that are optional.
    try:
        from server.export.onnx_model import to_onnx
    except ImportError as error:
        raise ConfigError(
            f"ONNX needs the package {error.name}, which is not installed: `pip install "
            "'fedthaw[export]'` brings it; or leave out --format onnx."
        ) from error
    return to_onnx(finished, facts)


def _facts(finished: FinishedRun) -> dict[str, Any]:
    config, calibration = finished.stored.config, finished.calibration
    return {
        "notice": NOTICE,
        "run": finished.stored.run,
        "base": finished.stored.base,
        "backbone": config.backbone,
        "input": config.input_in_words,
        "image-fit": config.image_fit,
        "caution": finished.caution,
        **_names(config),
        "temperature": calibration.temperature if calibration else None,
        "recalibration": _recalibration(calibration),
        "operating_points": [
            {"name": point.name, "threshold": point.threshold}
            for point in (calibration.points if calibration else ())
        ],
    }


def _names(config: RunConfig) -> dict[str, Any]:
    """What the outputs are of; nothing for a finding, as in earlier versions."""
    if config.predicts == BINARY:
        return {}
    return {"outcome": config.predicts.kind, "names": list(config.predicts.names)}


def _recalibration(calibration: Calibration | None) -> dict[str, float] | None:
    if calibration is None or calibration.recalibration is None:
        return None
    intercept, slope = calibration.recalibration
    return {"intercept": intercept, "slope": slope}
