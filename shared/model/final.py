"""The network of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.errors import WeightsError
from shared.model.backbone import Backbone
from shared.model.network import Network, build_network
from shared.model.pretrained import load_base
from shared.model.registry import backbone_of


@dataclass(frozen=True)
class _File:
    """A `WeightsChoice` of a file."""

    backbone: str
    weights: str
    outputs: int = 1
    channels: int = 1
    weights_sha256: str = ""
    seed: int = 0

    @property
    def network(self) -> Backbone:
        """The backbone's description."""
        return backbone_of(self.backbone, self.channels)


def load_final_model(file: Path, backbone: str, outputs: int = 1, channels: int = 1) -> Network:
    """The network with a run's final weights, on the CPU and in eval mode.

    WeightsError where the file (model.safetensors) is damaged or is not of this backbone and
    number of outputs, for images of so many channels.
    """
    final = load_base(_File(backbone, str(file), outputs, channels))
    if final.unused_head not in (0, outputs):
        raise WeightsError(
            f"{file} has a head of {final.unused_head} output(s) and the run's outcome needs "
            f"{outputs}; put back the file and the config.json that the run wrote."
        )
    if not final.has_head:
        raise WeightsError(
            f"{file} has no head, so it is not a run's final model; put back the file that the run "
            "wrote."
        )
    network = build_network(backbone, dropout=0.0, outputs=outputs, channels=channels)
    network.load_state_dict(final.state)
    network.eval()
    return network
