"""Checkpoint files as plain mappings of tensors, checked against a backbone.

Nothing here runs code that a file holds: safetensors has none, and `torch.load` reads with
`weights_only`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from shared.errors import WeightsError
from shared.model.backbone import Backbone

_LISTED = 8


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pt or .pth file as they are stored, on the CPU.

    WeightsError for another suffix, a damaged file, and anything but a flat mapping of tensors.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pt", ".pth"):
        return read_torch_checkpoint(path)
    raise WeightsError(
        f"{path} is not a weights file; its name must end in .safetensors, .pt or .pth."
    )


def read_torch_checkpoint(path: Path) -> dict[str, Tensor]:
    """`read_checkpoint` for a file of `torch.save`, whatever its name."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises almost anything
        raise WeightsError(
            f"{path} cannot be read as weights: it is damaged or incomplete (replace it; a cached "
            "copy is downloaded again once deleted), or it holds program code, which is never run "
            "(save model.state_dict() as .safetensors)."
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) and value.layout is torch.strided
        for key, value in content.items()
    ):
        raise WeightsError(
            f"{path} holds more than weights; it must be a flat mapping of names to tensors, as "
            "torch.save(model.state_dict(), path) writes."
        )
    return {key: value.detach() for key, value in content.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path, device="cpu")
    except Exception as error:  # SafetensorError, OSError, and others for a damaged header
        raise WeightsError(
            f"{path} is not a readable .safetensors file ({error}); it is damaged or incomplete: "
            "replace it."
        ) from error


def strip_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The keys without `module.` (DataParallel) or `model.` (Lightning), where all begin so."""
    stripped = dict(state)
    for prefix in ("module.", "model."):
        if all(key.startswith(prefix) for key in stripped):
            stripped = {key.removeprefix(prefix): value for key, value in stripped.items()}
    return stripped


def fit_to_backbone(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], backbone: Backbone, name: str
) -> tuple[dict[str, Tensor], bool]:
    """The state in the keys, shapes and dtypes of `expected`, and whether it brought a head.

    Floating-point values become float32. A head that is missing or of another size is replaced by
    zeros, `num_batches_tracked` is always zero, and every tensor is an own contiguous copy.
    WeightsError, in which `name` stands for the file, for any other difference and for values
    that are not finite.
    """
    if backbone.channels == 1 and _has_three_channels(state, backbone):
        raise WeightsError(
            f"The first convolution of {name} takes 3 colour channels; radiographs are grey, so "
            "a 1-channel first convolution is needed. (weights=imagenet folds torchvision's own; "
            "image-colour=rgb reads colour images.)"
        )
    head = backbone.head_keys
    has_head = all(key in state and state[key].shape == expected[key].shape for key in head)
    taken = {key for key in expected if not _is_counter(key)}
    if not has_head:
        taken.difference_update(head)
    differences = list(_differences(state, expected, taken, backbone.head_module))
    remedy = " Set backbone to the network that the file is of, or name another file."
    _refuse_problems(differences, name, "does not fit the backbone", remedy)
    fitted = {
        key: _own_copy(state[key], like) if key in taken else torch.zeros_like(like)
        for key, like in expected.items()
    }
    infinite = [key for key, value in fitted.items() if not bool(torch.isfinite(value).all())]
    _refuse_problems(infinite, name, "has values that are not finite")
    return fitted, has_head


def _differences(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], taken: set[str], head: str
) -> Iterator[str]:
    for key, like in expected.items():
        if key not in taken:
            continue
        if key not in state:
            yield f"{key} is missing"
        elif state[key].shape != like.shape:
            yield f"{key} has shape {tuple(state[key].shape)} instead of {tuple(like.shape)}"
        elif not state[key].is_floating_point():
            yield f"{key} is {state[key].dtype} instead of floating-point"
    for key in state:
        if key not in expected and not key.startswith(f"{head}."):
            yield f"{key} is unknown"


def _refuse_problems(problems: list[str], name: str, what: str, remedy: str = "") -> None:
    if not problems:
        return
    more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    raise WeightsError(f"{name} {what}: {'; '.join(problems[:_LISTED])}{more}.{remedy}")


def _own_copy(value: Tensor, like: Tensor) -> Tensor:
    return value.to(like.dtype, copy=True, memory_format=torch.contiguous_format)


def _is_counter(key: str) -> bool:
    return key.endswith(".num_batches_tracked")


def _has_three_channels(state: Mapping[str, Tensor], backbone: Backbone) -> bool:
    convolution = state.get(f"{backbone.first_layer}.weight")
    return convolution is not None and convolution.ndim == 4 and convolution.shape[1] == 3
