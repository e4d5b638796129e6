from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from client.data.dataset import Sample
from client.evaluate import predict_logits
from client.model.device import LOSS_SCALE, Precision, choose_precision, full_precision
from client.train.trainer import train_round
from shared.errors import ConfigError
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

MakeSamples = Callable[[int], list[Sample]]
MakeModel = Callable[..., Network]
MakeConfig = Callable[..., RunConfig]
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ("avx512_bf16", torch.bfloat16),
        ("amx_bf16", torch.bfloat16),
        ("bf16", torch.bfloat16),
        ("arm_bf16", torch.bfloat16),
        ("amx_fp16", torch.float32),
        ("avx512_f", torch.float32),
    ],
)
def test_a_cpu_takes_bfloat16_where_it_is_built_for_it(
    monkeypatch: pytest.MonkeyPatch, capability: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {capability: True, "fma3": True})
    assert choose_precision("auto", CPU) == Precision("cpu", dtype)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {capability: False, "cpu_name": "x"})
    assert choose_precision("auto", CPU) == Precision("cpu", torch.float32)


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_takes_bfloat16_or_else_float16(
    monkeypatch: pytest.MonkeyPatch, native: bool, dtype: torch.dtype
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr("torch.cuda.is_bf16_supported", supported)
    assert choose_precision("auto", GPU) == Precision("cuda", dtype)


def test_each_gpu_is_asked_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is older; PyTorch answers for the current device."""
    current = 0

    @contextmanager
    def chosen(device: torch.device) -> Iterator[None]:
        nonlocal current
        current = device.index
        yield
        current = 0

    monkeypatch.setattr("torch.cuda.device", chosen)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: current == 0)
    found = [choose_precision("auto", torch.device(name)).dtype for name in ("cuda:0", "cuda:1")]
    assert found == [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("wanted", ["float32", "bfloat16", "float16"])
def test_what_is_asked_for_is_taken_but_float16_on_a_cpu(wanted: str, device: torch.device) -> None:
    if (wanted, device) == ("float16", CPU):
        with pytest.raises(ConfigError, match="set precision=auto") as caught:
            choose_precision(wanted, device)
        assert caught.value.exit_code == 2
        assert caught.value.shareable == (
            "it does not accept the run's settings; the site's own log says which"
        )
    else:
        expected = Precision(device.type, getattr(torch, wanted))
        assert choose_precision(wanted, device) == expected


def test_convolutions_take_the_format_and_weights_stay(make_model: MakeModel) -> None:
    model = make_model()
    images = torch.randn(4, 1, 32, 32)
    for dtype in (torch.float32, torch.bfloat16):
        with Precision("cpu", dtype).autocast():
            assert model.prefix(images, "layer2").dtype == dtype
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    with full_precision(CPU).autocast():
        assert not torch.is_autocast_enabled("cpu")


def test_only_float16s_gradients_are_scaled() -> None:
    weight = torch.ones(1, requires_grad=True)
    for dtype in (torch.float32, torch.bfloat16):
        scaler = Precision("cpu", dtype).scaler()
        assert not scaler.is_enabled()
        loss = weight.sum()
        assert scaler.scale(loss) is loss
    scaler = Precision("cpu", torch.float16).scaler()
    assert scaler.scale(weight.sum()) == LOSS_SCALE


def trained(
    model: Network, samples: list[Sample], config: RunConfig
) -> tuple[dict[str, Tensor], float]:
    model = copy.deepcopy(model)
    plan = plan_round(config, 3)
    result = train_round(model, samples, plan, config, stream="north", moments={})
    state: dict[str, Tensor] = model.state_dict()
    return state, result.loss


def test_bfloat16_learns_nearly_what_float32_learns(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig
) -> None:
    samples, model = make_samples(12), make_model()
    config = {"batch_size": 6, "local_epochs": 4, "optimizer": "sgd", "rates": "0.01,0.01",
              "lr_head": 0.01, "rate_policy": "constant"}  # fmt: skip
    full, loss = trained(model, samples, plain_config(precision="float32", **config))
    mixed, near = trained(model, samples, plain_config(precision="bfloat16", **config))
    start = model.state_dict()
    assert near == pytest.approx(loss, rel=0.02)
    assert {value.dtype for value in mixed.values()} <= {torch.float32, torch.int64}
    full_change, change = (
        torch.cat([(state[k] - start[k]).flatten() for k in ("layer4.0.conv1.weight", "fc.weight")])
        for state in (full, mixed)
    )
    assert not torch.equal(full_change, change)
    assert torch.cosine_similarity(full_change, change, dim=0) > 0.95


def test_evaluation_is_in_float32_whatever_the_run_trains_in(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig
) -> None:
    """Also after a round in another format, as the network is shared."""
    samples, model = make_samples(6), make_model()
    expected = predict_logits(model, samples, 4)
    config = plain_config(precision="bfloat16", lr_probe=0.0)
    train_round(model, samples, plan_round(config, 1), config, stream="n", moments={})
    assert predict_logits(model, samples, 4).tolist() == expected.tolist()
    images = torch.stack([sample.load() for sample in samples]).double()
    with torch.no_grad():
        exact = copy.deepcopy(model).double().eval()(images)
    torch.testing.assert_close(torch.tensor(expected).double(), exact, rtol=1e-4, atol=1e-4)
