"""Image files, images in a cache and small networks, for what a site does with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)
from safetensors.torch import load_file

from client.data.cache import ImageCache
from client.data.cohort import Radiograph
from client.data.dataset import Sample
from client.exchange import rebuild_model
from client.handlers.evaluate import evaluate_on_site
from client.handlers.train import train_on_site
from client.imaging.facts import ImageFacts
from client.workspace import Workspace, open_workspace, shared_model
from shared.model.delta_digest import delta_digests
from shared.model.manifest import manifest_of_parts
from shared.model.network import Network, build_network
from shared.protocol.evaluate import EvaluateReply, EvaluateRequest, Scope
from shared.protocol.sent_model import SentModel
from shared.protocol.train import TrainReply, TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round, stages_ever_thawed
from shared.wire.arrays import Arrays, to_record


def make_dicom(stored: NDArray[np.integer], bits: int = 12, **attributes: Any) -> Dataset:
    """A single-frame DX dataset; an attribute of None is left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientID = "SECRET-7"
    dataset.PatientName = "Doe^Jane"
    dataset.Modality = "DX"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(stored.min() < 0)
    kind = "i" if dataset.PixelRepresentation else "u"
    dataset.PixelData = stored.astype(f"<{kind}{dataset.BitsAllocated // 8}").tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def ramp(rows: int = 40, columns: int = 48, maximum: int = 4095, seed: int = 0) -> NDArray[Any]:
    """Differing values of 0 to `maximum` over the image, another order for each seed."""
    values = np.linspace(0, maximum, rows * columns).round().astype(np.int64)
    shuffled: NDArray[Any] = np.random.default_rng(seed).permutation(values)
    return shuffled.reshape(rows, columns)


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write `make_dicom` to a file of tmp_path and give its path."""

    def write(stored: NDArray[np.integer], bits: int = 12, /, **attributes: Any) -> Path:
        name = attributes.pop("name", "image.dcm")
        path = tmp_path / str(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        make_dicom(stored, bits, **attributes).save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture(name="ramp")
def _ramp() -> Callable[..., NDArray[Any]]:
    return ramp


@pytest.fixture
def write_png() -> Callable[[Path, int], Path]:
    """Write an 8-bit PNG whose pixels depend on the seed."""

    def write(path: Path, seed: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ramp(maximum=255, seed=seed).astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def make_samples(tmp_path: Path) -> Callable[..., list[Sample]]:
    """So many images of noise of so many patients, alternately negative and positive."""

    def make(
        count: int, patients: Sequence[str] | None = None, site: str = "north"
    ) -> list[Sample]:
        cache = ImageCache(tmp_path / "image-cache", 32, "pad")
        rng = np.random.default_rng(7)
        names = patients or [f"P{number}" for number in range(count)]
        labels = {name: number % 2 for number, name in enumerate(dict.fromkeys(names))}
        facts = ImageFacts("PNG", "L", 8, 32, 32)
        samples = []
        for number, name in enumerate(names):
            digest = f"{number:064x}"
            cache.store(digest, rng.integers(0, 65536, (32, 32)).astype(np.uint16), facts)
            samples.append(Sample(Radiograph(digest, name, labels[name], None), site, cache))
        return samples

    return make


@pytest.fixture
def make_model(tmp_path: Path, write_base: Callable[..., Path]) -> Callable[..., Network]:
    """A network whose BatchNorm has seen data and whose head is not zero."""

    def make(dropout: float = 0.0) -> Network:
        model = build_network("micro", dropout)
        model.load_state_dict(load_file(write_base(tmp_path / "base.safetensors", head=True)))
        return model

    return make


@pytest.fixture
def open_site(
    tmp_path: Path,
    write_site: Callable[..., Path],
    write_base: Callable[..., Path],
    micro_config: Callable[..., RunConfig],
) -> Callable[..., tuple[Workspace, RunConfig]]:
    """A site of 12 patients and 16 images, opened with a base that has no head."""

    def make(
        name: str = "north", min_cell: int = 1, **changes: object
    ) -> tuple[Workspace, RunConfig]:
        base, folder = tmp_path / "pretrained.safetensors", tmp_path / name
        if not base.exists():
            write_base(base)
        if not folder.exists():
            write_site(tmp_path, name, min_cell=min_cell)
        exact: dict[str, object] = {"weights": str(base), "update_dtype": "float32"}
        config = micro_config(**(exact | changes))
        return open_workspace({"site": str(folder)}, config), config

    return make


def delta_of(workspace: Workspace, config: RunConfig, stages: tuple[str, ...]) -> Arrays:
    """Zero changes but for a head of ones, so that scores differ."""
    network = shared_model(config.backbone, config.dropout, workspace.device)
    return {
        spec.name: np.full(spec.shape, 0.1 if spec.name == "fc.weight" else 0.0, np.float32)
        for spec in manifest_of_parts(network, stages, config.batch_norm)
    }


def sent_whole(
    workspace: Workspace, config: RunConfig, number: int, stages: tuple[str, ...], delta: Arrays
) -> SentModel:
    """All of a model in float32, as to a site that has nothing of it."""
    network = shared_model(config.backbone, config.dropout, workspace.device)
    digests = delta_digests(network, stages, config.batch_norm, delta)
    return SentModel(
        number, stages, tuple(digests.values()), (), stages, to_record(delta), seen=number - 1
    )


def train(
    workspace: Workspace,
    config: RunConfig,
    round_number: int,
    run: str = "run-1",
    **changes: object,
) -> TrainReply:
    plan = plan_round(config, round_number)
    network = shared_model(config.backbone, config.dropout, workspace.device)
    manifest = manifest_of_parts(network, plan.trainable, config.batch_norm, config.update_dtype)
    fields = {
        "run": run,
        "base": workspace.base.digest,
        "plan": plan,
        "expects": tuple(spec.to_line() for spec in manifest),
        "model": sent_whole(
            workspace, config, plan.round, plan.thawed, delta_of(workspace, config, plan.thawed)
        ),
    }
    return train_on_site(workspace, config, TrainRequest(**(fields | changes)))  # type: ignore[arg-type]


def evaluate(
    workspace: Workspace, config: RunConfig, scope: Scope, after: int, *, final: bool = False
) -> EvaluateReply:
    stages = stages_ever_thawed(config, after)
    request = EvaluateRequest(
        run="run-1",
        base=workspace.base.digest,
        scope=scope,
        after_round=after,
        final=final,
        model=sent_whole(workspace, config, after + 1, stages, delta_of(workspace, config, stages)),
    )
    return evaluate_on_site(workspace, config, request)


def received(workspace: Workspace, config: RunConfig, stages: tuple[str, ...]) -> Network:
    return rebuild_model(
        workspace, config, base=workspace.base.digest,
        delta=delta_of(workspace, config, stages), statistics={},
    )  # fmt: skip


@pytest.fixture
def requests() -> SimpleNamespace:
    """Ask a workspace as the coordinator would: `train`, `evaluate`, and the model `received`."""
    return SimpleNamespace(
        train=train, evaluate=evaluate, received=received, sent_whole=sent_whole, delta_of=delta_of
    )
