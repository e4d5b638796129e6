"""Checkpoints in which somebody pickled a whole network instead of its state dict.

Such a file names classes and functions, which unpickling would import and call. Here nothing is
imported: a network's classes are replaced by one that only holds what was stored in it, tensors are
rebuilt by PyTorch's own three functions, and a file that names anything else is refused (Python's
documentation of pickle, "Restricting Globals"). PyTorch's `weights_only` cannot read these files
where they were written before PyTorch 1.6.
"""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from shared.errors import WeightsError

_MODULES = "torch.nn.modules"
_LAYERS = (
    f"{_MODULES}.activation.ReLU",
    f"{_MODULES}.batchnorm.BatchNorm2d",
    f"{_MODULES}.container.Sequential",
    f"{_MODULES}.conv.Conv2d",
    f"{_MODULES}.linear.Linear",
    f"{_MODULES}.pooling.AvgPool2d",
    f"{_MODULES}.pooling.MaxPool2d",
)
_KNOWN: Mapping[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "__builtin__.set": set,
    "builtins.set": set,
    "torch._utils._rebuild_tensor": torch._utils._rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
    "torch.nn.parameter.Parameter": nn.Parameter,
}


class _Stored:
    """What a module of the file had as attributes."""

    dump_patches = False  # PyTorch asks a module's class for it, in old files

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)


def read_pickled_network(path: Path, classes: tuple[str, ...]) -> dict[str, Tensor]:
    """The state dict of a network that was pickled whole, by `torch.save`, on the CPU.

    `classes` are its own, by their full names. WeightsError where the file is damaged, names
    anything else, or is no network.
    """
    known = {**_KNOWN, **dict.fromkeys((*_LAYERS, *classes), _Stored)}

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if f"{module}.{name}" not in known:
                raise pickle.UnpicklingError(f"{module}.{name} is not part of a network")
            return known[f"{module}.{name}"]

    reader = SimpleNamespace(
        __name__="restricted",
        Unpickler=Restricted,
        load=lambda f, **how: Restricted(f, **how).load(),
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the source of old classes differs from the stand-in's
            network = torch.load(path, "cpu", pickle_module=reader, weights_only=False)
    except Exception as error:  # a damaged archive raises almost anything
        raise WeightsError(
            f"{path} cannot be read as weights: it is damaged or incomplete, or it holds program "
            f"code besides the network {classes[0]} ({_first_line(error)}), which is never run. "
            "Replace it, or save model.state_dict() as .safetensors."
        ) from error
    if not isinstance(network, _Stored):
        raise WeightsError(f"{path} holds no network; name a file of {classes[0]}.")
    return dict(_tensors(network, ""))


def _tensors(module: _Stored, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """As `Module.state_dict` orders them: parameters, buffers, submodules."""
    held = vars(module)
    for kind in ("_parameters", "_buffers"):
        for name, value in held.get(kind, {}).items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value.detach()
    for name, child in held.get("_modules", {}).items():
        if isinstance(child, _Stored):
            yield from _tensors(child, f"{prefix}{name}.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
