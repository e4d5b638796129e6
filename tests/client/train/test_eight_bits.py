"""AdamW with its moments in 8 bits, beside PyTorch's own."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from client.data.dataset import Sample
from client.train import eight_bits
from client.train.eight_bits import eight_bit_adamw, require_optimizer
from client.train.optimizer import read_moments, restore_moments
from client.train.trainer import Trained, train_round
from shared.errors import SiteError
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

ROOT = Path(__file__).parents[3]
LARGE, SMALL = (64, 80), (7,)


def weights() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: nn.Parameter(torch.randn(shape, generator=generator))
        for name, shape in (("large", LARGE), ("small", SMALL))
    }


def descend(optimizer: torch.optim.Optimizer, of: Mapping[str, nn.Parameter], steps: range) -> None:
    """Steps towards zero, along gradients with noise that only the number of the step decides."""
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in of.values():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.grad = parameter.detach() + 0.1 * noise
        optimizer.step()


def test_it_goes_where_adamw_goes_with_a_quarter_of_the_memory() -> None:
    exact, kept = weights(), weights()
    groups = {"lr": 0.01, "weight_decay": 0.1}
    whole = torch.optim.AdamW([{"params": list(exact.values()), **groups}])
    small = eight_bit_adamw([{"params": list(kept.values()), **groups}])
    descend(whole, exact, range(50))
    descend(small, kept, range(50))
    moved = (exact["large"] - weights()["large"]).norm()
    assert moved > 10
    assert (kept["large"] - exact["large"]).norm() < 0.05 * moved
    torch.testing.assert_close(kept["small"], exact["small"], rtol=1e-4, atol=1e-5)

    def held(optimizer: torch.optim.Optimizer, of: nn.Parameter) -> int:
        return sum(
            v.nbytes
            for k, v in optimizer.state[of].items()
            if torch.is_tensor(v) and "qmap" not in k
        )

    assert held(small, kept["large"]) < 0.27 * held(whole, exact["large"])
    assert small.state[kept["small"]]["state1"].dtype == torch.float32


def test_moments_that_were_written_down_go_on_as_if_nothing_had_happened() -> None:
    whole, stopped = weights(), weights()
    descend(eight_bit_adamw([{"params": list(whole.values()), "lr": 0.01}]), whole, range(8))
    first = eight_bit_adamw([{"params": list(stopped.values()), "lr": 0.01}])
    descend(first, stopped, range(5))
    moments = read_moments(first, stopped)
    second = eight_bit_adamw([{"params": list(stopped.values()), "lr": 0.01}])
    restore_moments(second, stopped, moments)
    descend(second, stopped, range(5, 8))
    for name, parameter in whole.items():
        assert torch.equal(parameter, stopped[name])


def test_a_run_learns_about_as_with_adamw(
    make_samples: Callable[[int], list[Sample]], make_model: Callable[..., Network],
    micro_config: Callable[..., RunConfig],
) -> None:  # fmt: skip
    samples, model = make_samples(11), make_model()
    found: dict[str, tuple[dict[str, Tensor], Trained]] = {}
    for optimizer in ("adamw", "adamw8bit"):
        config = micro_config(optimizer=optimizer, schedule="full", probe_rounds=0)
        trained = copy.deepcopy(model)
        result = train_round(
            trained, samples, plan_round(config, 1), config, stream="north", moments={}
        )
        found[optimizer] = dict(trained.named_parameters()), result
    (exact, whole), (kept, small) = found.values()
    assert small.loss == pytest.approx(whole.loss, abs=0.02)
    before = dict(model.named_parameters())
    moved = sum((exact[key] - before[key]).square().sum() for key in exact) ** 0.5
    apart = sum((exact[key] - kept[key]).square().sum() for key in exact) ** 0.5
    assert 0 < apart < 0.3 * moved
    assert {value.dtype for key, value in small.moments.items() if key.startswith("state1/")} == {
        torch.uint8, torch.float32
    }  # fmt: skip


@pytest.mark.parametrize(("installed", "present"), [(None, "none"), ("0.45.3", "0.45.3")])
def test_a_site_without_the_library_says_so(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, present: str
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    require_optimizer(RunConfig(optimizer="adamw8bit"))
    monkeypatch.setattr(eight_bits, "version", version)
    require_optimizer(RunConfig(optimizer="adamw"))
    with pytest.raises(SiteError, match=r"pip install 'fedthaw\[bitsandbytes\]'") as refused:
        require_optimizer(RunConfig(optimizer="adamw8bit"))
    assert f"0.50.2 or later; on this machine there is {present}." in str(refused.value)
    assert str(refused.value.shareable).endswith(f"and there is {present}")


def test_its_import_fetches_nothing(tmp_path: Path) -> None:
    """bitsandbytes would ask `kernels` for code from the network, on some processors."""
    (tmp_path / "kernels.py").write_text(
        "def get_kernel(*words, **more):\n    print('FETCHED', words)\n    raise RuntimeError\n"
    )
    code = (
        "import sys, torch\n"
        "from client.train.eight_bits import eight_bit_adamw\n"
        "eight_bit_adamw([{'params': [torch.nn.Parameter(torch.zeros(3))]}])\n"
        "import kernels; print(kernels.__file__)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path / "kernels.py")]
    assert "kernels" not in done.stderr
