"""Networks that were pickled whole: read as they are stored, and nothing of the file is run."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from shared.errors import WeightsError
from shared.model.pickled import read_pickled_network

NAME = "publishers_library"
CLASS = f"{NAME}.Net"


class Net(nn.Module):
    """As a library defines it that is not installed where its file is read."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(1, 4, 3), norm=nn.BatchNorm2d(4), relu=nn.ReLU())
        )
        self.head = nn.Linear(4, 18)
        self.labels = ["Edema", "Mass"]


@pytest.fixture
def published() -> Iterator[type[Net]]:
    library: Any = ModuleType(NAME)
    library.Net = Net
    original = Net.__module__
    Net.__module__ = NAME
    sys.modules[NAME] = library
    yield Net
    Net.__module__ = original
    sys.modules.pop(NAME, None)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_its_state_dict_without_the_library(
    published: type[Net], tmp_path: Path, new_format: bool
) -> None:
    """Files from before PyTorch 1.6 too, which store the classes' source beside them."""
    network = published()
    network.train()
    nn.functional.linear(torch.ones(2, 4), network.head.weight)
    network.body(torch.randn(2, 1, 8, 8))
    torch.save(network, tmp_path / "net.pt", _use_new_zipfile_serialization=new_format)
    del sys.modules[NAME]
    found = read_pickled_network(tmp_path / "net.pt", (CLASS,))
    assert NAME not in sys.modules
    assert list(found) == list(network.state_dict())
    for key, value in network.state_dict().items():
        assert torch.equal(found[key], value), key
        assert not found[key].requires_grad


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_file_is_not_run(tmp_path: Path, new_format: bool) -> None:
    file, trace = tmp_path / "net.pt", tmp_path / "was-here"
    torch.save(_Attack(trace), file, _use_new_zipfile_serialization=new_format)
    with pytest.raises(WeightsError, match=r"code besides the network .*mkdir is not part of a"):
        read_pickled_network(file, (CLASS,))
    assert not trace.exists()
    torch.load(file, weights_only=False)
    assert trace.exists()  # the file would have done it


def test_other_content_is_refused(tmp_path: Path) -> None:
    torch.save(OrderedDict(a=torch.ones(1)), tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="holds no network"):
        read_pickled_network(tmp_path / "state.pt", (CLASS,))
    (tmp_path / "page.pt").write_text("<html>")
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        read_pickled_network(tmp_path / "page.pt", (CLASS,))
    torch.save(nn.Sequential(nn.Tanh()), tmp_path / "tanh.pt")
    with pytest.raises(WeightsError, match="Tanh is not part of a network"):
        read_pickled_network(tmp_path / "tanh.pt", (CLASS,))
