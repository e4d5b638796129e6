"""What FedThaw has to know of a network: ordered units in named stages, and how its files are read.

A unit is what freezes as one: a convolution with its norm, a residual or a dense block. Stages are
runs of units with names of the network's own, which settings and reports use. A set of units is
written as parts: a stage's name stands for all of its units. Nothing here imports PyTorch, so that
settings are checked without it; `shared.model.network` runs what is described here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shared.model.published import Published

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

Part = str
"""A unit's name, or a stage's, which stands for all of its units."""

RECIPE_THAWS = (0.1, 0.3, 0.6)
"""Shares of the fine-tuning rounds after which the stages before the head thaw, the last first."""
RECIPE_RATES = (5e-4, 2.5e-4, 1e-4)
"""Their maximum learning rates (Goedicke-Fritz et al., arXiv:2507.12269, as the other one)."""


@dataclass(frozen=True)
class Unit:
    """What freezes as one. Its submodules run one after another and hold its state."""

    name: str
    stage: str
    modules: tuple[str, ...]
    loose: tuple[str, ...] = ()
    """State-dict keys of its parameters that are in none of its submodules."""
    run: Callable[[nn.Module, Tensor], Tensor] | None = None
    """(network, input) -> output, where that is more than one submodule after another."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network for grey or colour images; its last unit, the head, has one logit.

    The head is a linear layer behind dropout. Its stage has no other unit. The first unit begins
    with a convolution. Between units go feature maps (N, C, H, W), whose mean over the positions
    enters the head, or tokens (N, C, 1, 1 + patches), whose first one does (`tokens`).
    """

    name: str
    units: tuple[Unit, ...]
    features: int
    """Width of what enters the head."""
    build: Callable[[int], nn.Module]
    """By the channels of an image a module whose submodules the units name; it is called without
    storage (device "meta")."""
    published: Mapping[str, Published] = field(default_factory=dict)
    """Its pretrained checkpoints, by what `weights` may be."""
    read: Callable[[Path], dict[str, Tensor]] | None = None
    """Reads files of its publishers that are no plain state dicts, in the network's own keys."""
    channels: int = 1
    """Of an image: 1 of a grey one, 3 in red, green and blue."""
    torchvision: str = ""
    """The function of torchvision.models that builds it; empty where torchvision has none."""
    input_range: tuple[float, float] = (-1024.0, 1024.0)
    """Values of black and white in each channel, as in TorchXRayVision."""
    fan: Literal["fan_in", "fan_out"] = "fan_out"
    """What the random weights of convolutions are scaled by."""
    initialise: Callable[[nn.Module, Generator], None] | None = None
    """Draws all weights but the head's, where these are not convolutions and BatchNorms alone."""
    tokens: bool = False
    """Whether a class token and patches go between the units, the class token first. Rounds that
    mix images then begin at the images: patches are not what they were before attention."""
    patch: int = 1
    """What the side of an image must be a multiple of."""
    native_side: int = 0
    """The only image side at which torchvision's network takes the weights; 0: any."""
    explains: Part = ""
    """What `explained` is where it is not the head."""
    zeroed: tuple[str, ...] = ()
    """BatchNorms whose scales are zero in a random base: the ends of residual branches."""
    strided_points: bool = True
    """Whether it may have 1x1 convolutions with a stride, for which some memory formats are
    unsafe."""
    branches: tuple[Part, ...] = ()
    """The first stages, where they are two identical branches: they take one image for both, or the
    channels of two, one for each, and what they give is as wide as what enters the head."""
    single_up_to: int = 32
    """The largest side of an image whose last feature maps are single values."""
    former: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Settings of earlier versions: key -> the setting that replaced it, and the stage."""

    def __post_init__(self) -> None:
        """ValueError where a unit has the name of a stage that it does not make up alone."""
        stages = [unit.stage for unit in self.units]
        for unit in self.units:
            if unit.name in stages and (unit.name != unit.stage or stages.count(unit.stage) > 1):
                raise ValueError(f"Both a stage and a unit of {self.name} are called {unit.name}.")

    def in_colour(self) -> Backbone:
        """The same for images of 3 channels; of its checkpoints those that know colours."""
        published = {name: one for name, one in self.published.items() if name == "imagenet"}
        return replace(self, channels=3, published=published)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, from the input to the head."""
        return tuple(dict.fromkeys(unit.stage for unit in self.units))

    @property
    def head(self) -> str:
        """The stage, and unit, that ends in the logits."""
        return self.units[-1].name

    @property
    def head_module(self) -> str:
        """The linear layer."""
        return self.units[-1].modules[0]

    @property
    def head_keys(self) -> tuple[str, str]:
        """State-dict keys of its weight (outputs, features) and its bias (outputs,)."""
        return f"{self.head_module}.weight", f"{self.head_module}.bias"

    @property
    def first_layer(self) -> str:
        """The first convolution."""
        return self.units[0].modules[0]

    @property
    def first_norm(self) -> str:
        """The BatchNorm behind the first convolution; empty where that has a bias instead."""
        return "" if self.tokens else self.units[0].modules[1]

    def torchvision_at(self, side: int) -> str:
        """The function of torchvision.models for images of this side; empty where it has none."""
        return self.torchvision if self.native_side in (0, side) else ""

    @property
    def last_maps(self) -> str:
        """The last stage before the head; before it lies most of the network's work."""
        return self.stages[-2]

    @property
    def explained(self) -> Part:
        """Grad-CAM explains an image by the feature maps that enter this part."""
        return self.explains or self.head

    def thawing_stages(self, count: int) -> tuple[str, ...]:
        """The last `count` stages before the head, the last first."""
        return self.stages[-2 : -2 - count : -1]

    @cached_property
    def _places(self) -> Mapping[Part, tuple[int, ...]]:
        places: dict[Part, tuple[int, ...]] = {
            stage: tuple(n for n, unit in enumerate(self.units) if unit.stage == stage)
            for stage in self.stages
        }
        return {unit.name: (n,) for n, unit in enumerate(self.units)} | places

    @cached_property
    def _unit_of_module(self) -> Mapping[str, Unit]:
        return {module: unit for unit in self.units for module in unit.modules}

    @cached_property
    def _unit_of_loose(self) -> Mapping[str, Unit]:
        return {key: unit for unit in self.units for key in unit.loose}

    def units_of(self, parts: Iterable[Part]) -> frozenset[str]:
        """The names of the units that these parts have; ValueError for an unknown part."""
        chosen = frozenset(parts)
        if unknown := sorted(chosen.difference(self._places)):
            raise ValueError(
                f"Unknown stages or units {unknown} of {self.name}; its stages are "
                f"{list(self.stages)}."
            )
        return frozenset(self.units[n].name for part in chosen for n in self._places[part])

    def parts_of(self, units: Collection[str]) -> tuple[Part, ...]:
        """The shortest way to write a set of units: whole stages by name, in network order."""
        chosen = self.units_of(units)
        parts: list[Part] = []
        for stage in self.stages:
            own = [self.units[n].name for n in self._places[stage]]
            parts += [stage] if chosen.issuperset(own) else [u for u in own if u in chosen]
        return tuple(parts)

    def other_units(self, parts: Iterable[Part]) -> frozenset[str]:
        """The units that these parts have not; ValueError for an unknown part."""
        chosen = self.units_of(parts)
        return frozenset(unit.name for unit in self.units if unit.name not in chosen)

    def position(self, boundary: Part) -> int:
        """Index of the unit that a boundary lies before; ValueError for an unknown part."""
        self.units_of([boundary])
        return self._places[boundary][0]

    def boundary(self, position: int) -> Part:
        """The boundary before the unit with this index: the stage's name where one begins."""
        unit = self.units[position]
        return unit.stage if self._places[unit.stage][0] == position else unit.name

    def first_of(self, parts: Iterable[Part]) -> Part:
        """The boundary before the first unit of these parts; ValueError without any."""
        return self.boundary(min(self.position(unit) for unit in self.units_of(parts)))

    def before(self, boundary: Part) -> tuple[str, ...]:
        """The units before a boundary, in network order."""
        return tuple(unit.name for unit in self.units[: self.position(boundary)])

    def unit_of(self, key: str) -> Unit:
        """The unit of a state-dict key: the one whose submodule holds it, or that names it.

        ValueError for a key that no unit holds.
        """
        if key in self._unit_of_loose:
            return self._unit_of_loose[key]
        module = key
        while "." in module:
            module = module.rpartition(".")[0]
            if module in self._unit_of_module:
                return self._unit_of_module[module]
        raise ValueError(f"'{key}' is not a state-dict key of a stage of {self.name}.")

    def stage_of(self, key: str) -> str:
        """The stage of a state-dict key; ValueError for a key that no unit holds."""
        return self.unit_of(key).stage

    def keys_of(self, keys: Iterable[str], parts: Iterable[Part]) -> tuple[str, ...]:
        """Those of the state-dict keys that belong to the parts, in their order.

        ValueError for an unknown part or key.
        """
        chosen = self.units_of(parts)
        return tuple(key for key in keys if self.unit_of(key).name in chosen)
