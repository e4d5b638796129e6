"""model.safetensors: the final full model."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from server.federation.global_model import Reference, full_state
from shared.errors import RunError
from shared.outcome.binary import BINARY
from shared.run.events import Warned, emit
from shared.settings.config import RunConfig
from shared.settings.schedule import statistics_stay_at_sites
from shared.storage.files import write_atomically
from shared.wire.arrays import Arrays


def write_model(path: Path, reference: Reference, delta: Arrays, config: RunConfig) -> None:
    """The full model with the names of torchvision's network, so that it loads there.

    Its metadata say what the network wants to see. Its bytes depend on the weights and the
    configuration alone, so equal runs give equal files.
    """
    state = full_state(reference, delta)
    network = {
        "backbone": config.backbone,
        "classes": config.outputs,
        "input": config.input_in_words,
        "image-fit": config.image_fit,
    }
    if config.predicts != BINARY:
        network |= {"outcome": config.predicts.kind, "names": list(config.predicts.names)}
    # One entry: safetensors writes several in an order that differs from process to process.
    metadata = {"network": json.dumps(network)}
    if statistics_stay_at_sites(config):
        emit(
            Warned(
                "With batch-norm=local the BatchNorm statistics of the thawed stages stay at the "
                "sites: model.safetensors has the base's, and was not evaluated as it is."
            )
        )
    try:
        write_atomically(path, lambda temporary: save_file(state, temporary, metadata))
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"The final model cannot be written to {path} ({error}); make room there and "
            "continue with --resume."
        ) from error
