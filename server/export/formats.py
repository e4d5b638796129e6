"""A run's final model in the formats of other programs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from shared.errors import ConfigError, RunError
from shared.limits import ImageFit
from shared.model.backbone import Backbone
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.run.events import Noted, Warned, emit
from shared.run.finished import NOTICE, Calibration, FinishedRun
from shared.settings.config import RunConfig
from shared.storage.files import write_atomically, write_text_atomically

UNCHECKED = (
    "model.onnx is written, but its output was not compared with the run's model: that needs the "
    "package onnxruntime (pip install onnxruntime)."
)
FORMATS = ("safetensors", "onnx")

_README = """# The final model of FedThaw's run {run}

{notice}

A torchvision {backbone} with one grey input channel and {logits}. {facts}

## Preparing an image

1. Grey values in [0, 1], bone bright: of DICOM the modality and VOI transformation and the polarity
   applied (MONOCHROME1 inverted); of 8 bits, divided by 255.
2. Square by `{fit}` ({fits}), then resized to {size} x {size} pixels, bilinear with antialiasing.
3. `(2 * x - 1) * 1024`, as TorchXRayVision's networks want it: float32, shape
   (n, 1, {size}, {size}).

{patient} {decided}
"""
_FACTS = "`model.json` has these facts and the base's digest for\nprograms."
_LOGITS = {
    "binary": "one logit, the sigmoid of which is the\nimage's score for the positive class",
    "classes": "a logit for each of {number} classes\n({names}), the softmax of which are their "
    "probabilities",
    "ordinal": "an output for each of {number} classes but\nthe last ({names}). The first is the "
    "logit of the probability of more than the first class, and each\nfurther one lowers it by "
    "its softplus: `first - cumsum(softplus(others))`. A class's probability is the\ndifference "
    "of neighbouring ones",
    "labels": "a logit for each of {number} labels\n({names}), the sigmoid of which is its "
    "probability",
}
_PATIENT = "A patient's score is the mean score of the patient's images."
_PATIENT_OF_CLASSES = (
    "A patient's probabilities are the means of those of the patient's images. They are not\n"
    "calibrated where training drew the classes equally often (`sampling=balanced`)."
)
_DECIDED = """The `operating_points` of `model.json` are thresholds
on it. It is no probability where training drew the classes equally often (`sampling=balanced`): the
probability among patients like the run's validation patients is
sigmoid(intercept + slope * logit(score)), by the `recalibration` of `model.json`, where that is not
null."""
_SAFETENSORS = """
## model.safetensors

```python
import torch
from safetensors.torch import load_file
{network}
network.load_state_dict(load_file("model.safetensors"))
network.eval()
{use}
```
"""
_USE = {
    "binary": "# torch.sigmoid(network(images)) is the probability, (n, 1)",
    "classes": "# network(images).softmax(dim=1) are the probabilities, (n, classes)",
    "ordinal": "# network(images) are the outputs that are described above, (n, classes - 1)",
    "labels": "# torch.sigmoid(network(images)) are the probabilities, (n, labels)",
}
_ONNX = """
## model.onnx

Input `image`, as above with any number n of images; outputs `logit` and `probability`{shapes}.

```python
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
logit, probability = session.run(["logit", "probability"], {{"image": images}})
```
"""
_TORCHVISION = """from torchvision.models import {function}

network = {function}(num_classes={outputs})
network.{first} = torch.nn.{layer}"""
_OWN = """from shared.model.network import build_network  # fedthaw's: torchvision has none

network = build_network("{backbone}"{more})"""
_FITS = {
    ImageFit.PAD: "black evenly at both sides",
    ImageFit.CROP: "the centre",
    ImageFit.STRETCH: "changing the aspect",
}


def export(finished: FinishedRun, folder: Path, formats: Collection[str]) -> tuple[Path, ...]:
    """Write the model in `formats` (of `FORMATS`), model.json and README.md; the files written.

    Equal runs give equal files. Each model is loaded back and compared with the run's own before
    it is put in place: RunError where one computes otherwise, and then nothing that was there has
    changed. ConfigError for ONNX where its packages are missing, WeightsError where the model is
    damaged, OSError where the folder cannot be written.
    """
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
    write_text_atomically(written[-1], _readme(finished, formats))
    return tuple(written)


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
        "input": f"(n, 1, {config.image_size}, {config.image_size}) in [-1024, 1024]",
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


def _readme(finished: FinishedRun, formats: Collection[str]) -> str:
    config, backbone = finished.stored.config, finished.stored.config.network
    function = backbone.torchvision_at(config.image_size)
    network = _TORCHVISION if function else _OWN
    outcome, binary = config.predicts, config.predicts == BINARY
    logits = _LOGITS[outcome.kind].format(number=len(outcome.names), names=", ".join(outcome.names))
    return "".join(
        [
            _README.format(
                run=finished.stored.run,
                notice=NOTICE,
                backbone=config.backbone,
                fit=config.image_fit,
                fits=_FITS[ImageFit(config.image_fit)],
                size=config.image_size,
                logits=logits,
                facts=_FACTS,
                patient=_PATIENT if binary else _PATIENT_OF_CLASSES,
                decided=finished.caution or (_DECIDED if binary else ""),
            ),
            _SAFETENSORS.format(
                network=network.format(
                    backbone=backbone.name,
                    function=function,
                    first=backbone.first_layer,
                    layer=_first_layer(backbone) if function else "",
                    outputs=config.outputs,
                    more="" if config.outputs == 1 else f", outputs={config.outputs}",
                ),
                use=_USE[outcome.kind],
            )
            if "safetensors" in formats
            else "",
            _ONNX.format(shapes=", both (n,)" if binary else _shapes(outcome))
            if "onnx" in formats
            else "",
        ]
    )


def _shapes(outcome: Outcome) -> str:
    """Of ONNX's outputs."""
    if outcome == BINARY:
        return ", both (n,)"
    logits = "(n,)" if outcome.outputs == 1 else f"(n, {outcome.outputs})"
    columns = "classes" if outcome.exclusive else "labels"
    return f", {logits} and (n, {len(outcome.score_names)}), a column for each of the {columns}"


def _first_layer(backbone: Backbone) -> str:
    """The first convolution as PyTorch writes it."""
    from shared.model.network import build_network  # it brings torch

    return repr(build_network(backbone.name).get_submodule(backbone.first_layer))
