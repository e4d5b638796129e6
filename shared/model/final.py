"""The network of a finished run."""

from __future__ import annotations

from dataclasses import replace

from shared.errors import WeightsError
from shared.finished import FinishedRun
from shared.model.network import Network, build_network
from shared.model.pretrained import load_base


def load_final_model(finished: FinishedRun) -> Network:
    """The network with the final weights, on the CPU and in eval mode.

    WeightsError where model.safetensors is damaged or is not of the run's backbone.
    """
    config = replace(finished.stored.config, weights=str(finished.model), weights_sha256="")
    final = load_base(config)
    if not final.has_head:
        raise WeightsError(
            f"{finished.model} has no head, so it is no run's final model; put back the file that "
            "the run wrote."
        )
    network = build_network(config.backbone, dropout=0.0)
    network.load_state_dict(final.state)
    network.eval()
    return network
