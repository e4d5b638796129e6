"""The README beside a model that is exported: how images are prepared, how it is loaded."""

from __future__ import annotations

from collections.abc import Collection

from shared.limits import ImageFit
from shared.model.backbone import Backbone
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.run.finished import NOTICE, FinishedRun
from shared.settings.config import RunConfig

_README = """# The final model of FedThaw's run {run}

{notice}

{network} with {channels} and {logits}. {facts}

## Preparing an image

1. {values}
2. Square by `{fit}` ({fits}), then resized to {size} x {size} pixels, bilinear with antialiasing.
3. `(2 * x - 1) * 1024`, as TorchXRayVision's networks want it: float32, shape
   (n, {number}, {size}, {size}).

{patient} {decided}
"""
_CHANNELS = {1: "one grey input channel", 3: "three input channels (red, green, blue)"}
_VALUES = {
    1: "Grey values in [0, 1], bone bright: of DICOM the modality and VOI transformation and the "
    "polarity\n   applied (MONOCHROME1 inverted); of 8 bits, divided by 255.",
    3: "Red, green and blue in [0, 1]; of 8 bits, divided by 255. A greyscale image "
    "gets three equal channels.",
}
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


def readme(finished: FinishedRun, formats: Collection[str]) -> str:
    """The text, in Markdown, for a run's final model in these formats."""
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
                network=("A torchvision " if function else "FedThaw's own ") + config.backbone,
                fit=config.image_fit,
                fits=_FITS[ImageFit(config.image_fit)],
                size=config.image_size,
                channels=_CHANNELS[config.channels],
                values=_VALUES[config.channels],
                number=config.channels,
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
                    more=_more(config),
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


def _more(config: RunConfig) -> str:
    """Further arguments of `build_network`."""
    outputs = "" if config.outputs == 1 else f", outputs={config.outputs}"
    return outputs + ("" if config.channels == 1 else f", channels={config.channels}")


def _first_layer(backbone: Backbone) -> str:
    """The first convolution as PyTorch writes it."""
    from shared.model.network import build_network  # it brings torch

    return repr(
        build_network(backbone.name, channels=backbone.channels).get_submodule(backbone.first_layer)
    )
