"""Whether an exported model computes what the run's own does: loaded back, on the same input."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.errors import RunError
from shared.model.final import load_final_model
from shared.model.network import build_network
from shared.run.finished import FinishedRun

TOLERANCE = 1e-3
"""Of a logit, or of its share above 1: other programs add up in another order."""
_IMAGES = 2


def check_safetensors(finished: FinishedRun, file: Path) -> None:
    """Load the file as its README says; RunError, the file removed, where it computes otherwise."""
    network = _network_of_readme(finished)
    network.load_state_dict(load_file(file))
    network.eval()
    images = _images(finished)
    with torch.no_grad():
        _compare(finished, file, images, network(images).flatten())


def check_onnx(finished: FinishedRun, file: Path) -> bool:
    """As `check_safetensors` by ONNX Runtime; False where that is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return False
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    images = _images(finished)
    logits, probabilities = session.run(["logit", "probability"], {"image": images.numpy()})
    found = torch.from_numpy(logits).flatten()
    _compare(finished, file, images, found)
    if not torch.allclose(torch.from_numpy(probabilities).flatten(), found.sigmoid(), atol=1e-5):
        raise _different(file, "its probabilities are not the sigmoid of its logits")
    return True


def _network_of_readme(finished: FinishedRun) -> nn.Module:
    backbone = finished.stored.config.network
    ours = build_network(backbone.name, dropout=0.0)
    function = backbone.torchvision_at(finished.stored.config.image_size)
    if not function:
        return ours
    network: nn.Module = getattr(torchvision.models, function)(num_classes=1)
    network.set_submodule(backbone.first_layer, ours.get_submodule(backbone.first_layer))
    return network


def _images(finished: FinishedRun) -> Tensor:
    side = finished.stored.config.image_size
    noise = torch.rand(_IMAGES, 1, side, side, generator=torch.Generator().manual_seed(0))
    return (2 * noise - 1) * 1024


def _compare(finished: FinishedRun, file: Path, images: Tensor, found: Tensor) -> None:
    with torch.no_grad():
        wanted = load_final_model(finished.model, finished.backbone)(images).flatten()
    if not torch.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE):
        raise _different(file, f"its logits differ by up to {(found - wanted).abs().max():.3g}")


def _different(file: Path, how: str) -> RunError:
    file.unlink(missing_ok=True)
    return RunError(
        f"The exported {file.name} does not compute what the run's model does ({how}), so it was "
        "removed; export it again, and report this fault if it happens again."
    )
