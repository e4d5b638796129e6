"""A network as an ONNX model; needs the packages of the extra `export`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any, cast

import onnx
import onnxscript  # noqa: F401  (PyTorch's exporter wants it: say so before any work is done)
import torch
from torch import Tensor, nn

from shared.model.final import load_final_model
from shared.model.network import Network
from shared.outcome.outcome import Outcome
from shared.run.finished import NOTICE, FinishedRun

OPSET = 20


class _Scored(nn.Module):
    """The network with its probabilities as a second output."""

    def __init__(self, network: Network, outcome: Outcome) -> None:
        super().__init__()
        self.network, self.outcome = network, outcome

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logit = self.network(image)
        return logit, self.outcome.activation(logit)


def to_onnx(finished: FinishedRun, facts: Mapping[str, Any]) -> bytes:
    """The final model as the bytes of an ONNX file; `facts` become its metadata.

    `image` (batch, C, S, S) float32 in [-1024, 1024], C 1 or 3 -> `logit` and `probability`, both
    (batch,); of several classes or labels (batch, outputs) and (batch, classes or labels).
    WeightsError where the model is damaged.
    """
    config = finished.stored.config
    outcome, side = config.predicts, config.image_size
    model = load_final_model(finished.model, finished.backbone, outcome.outputs, config.channels)
    network = _Scored(model, outcome).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            network,
            (torch.zeros(2, config.channels, side, side),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logit", "probability"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    written = program.model_proto
    _forget_origin(written)
    written.producer_name = "fedthaw"
    written.doc_string = NOTICE
    onnx.helper.set_model_props(
        written,
        {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in facts.items()
        },
    )
    onnx.checker.check_model(written, full_check=True)
    return cast(bytes, written.SerializeToString(deterministic=True))


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of each node, such as the paths of this machine's files."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
