"""Whether an exported model computes what the run's own does: loaded back, on the same input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.errors import RunError
from shared.model.final import load_final_model
from shared.model.network import build_network
from shared.run.finished import FinishedRun

TOLERANCE = 1e-3
"""Of a logit, or of its share above 1: other programs add up in another order."""
_IMAGES = 2


@dataclass(frozen=True)
class Agreement:
    """How far the logits of a loaded file were from the run's own, at most, and over how many."""

    images: int
    difference: float

    def sentence(self, name: str) -> str:
        """What was compared and found, in a line."""
        return (
            f"Checked {name}: its logits of {self.images} fixed images differ from the run's model "
            f"by at most {self.difference:.1g} (tolerance {TOLERANCE:g})."
        )


def check_safetensors(finished: FinishedRun, file: Path) -> Agreement:
    """Load the file as its README says; RunError where it computes otherwise than the run's."""
    network = _network_of_readme(finished)
    try:
        network.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _different(f"it does not load: {error}") from error
    network.eval()
    images = _images(finished)
    with torch.no_grad():
        return _compare(finished, images, network(images))


def check_onnx(finished: FinishedRun, file: Path) -> Agreement | None:
    """As `check_safetensors` by ONNX Runtime; None where that is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    images = _images(finished)
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        logits, probabilities = session.run(["logit", "probability"], {"image": images.numpy()})
    except Exception as error:  # its errors share no base of their own
        raise _different(f"ONNX Runtime does not run it: {error}") from error
    found, outcome = torch.from_numpy(logits), finished.stored.config.predicts
    agreement = _compare(finished, images, found)
    scores = outcome.probabilities(logits.astype("float64")).reshape(len(images), -1)
    wanted = torch.tensor([outcome.by_name(own) for own in scores.tolist()])
    if not torch.allclose(torch.from_numpy(probabilities).reshape(wanted.shape), wanted, atol=1e-5):
        raise _different("its probabilities are not those of its logits")
    return agreement


def _network_of_readme(finished: FinishedRun) -> nn.Module:
    backbone, outputs = finished.stored.config.network, finished.stored.config.outputs
    ours = build_network(backbone.name, 0.0, outputs=outputs, channels=backbone.channels)
    function = backbone.torchvision_at(finished.stored.config.image_size)
    if not function:
        return ours
    network: nn.Module = getattr(torchvision.models, function)(num_classes=outputs)
    network.set_submodule(backbone.first_layer, ours.get_submodule(backbone.first_layer))
    return network


def _images(finished: FinishedRun) -> Tensor:
    side, channels = finished.stored.config.image_size, finished.stored.config.channels
    noise = torch.rand(_IMAGES, channels, side, side, generator=torch.Generator().manual_seed(0))
    return (2 * noise - 1) * 1024


def _compare(finished: FinishedRun, images: Tensor, found: Tensor) -> Agreement:
    with torch.no_grad():
        config = finished.stored.config
        model = load_final_model(finished.model, finished.backbone, config.outputs, config.channels)
        wanted = model(images)
    found = found.reshape(wanted.shape)
    difference = float((found - wanted).abs().max())
    if not torch.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE):
        raise _different(
            f"its logits of {_IMAGES} fixed images differ by up to {difference:.3g}; "
            f"{TOLERANCE:g} is allowed"
        )
    return Agreement(_IMAGES, difference)


def _different(how: str) -> RunError:
    return RunError(f"The exported file does not compute what the run's model does ({how}).")
