"""What the other arms share with FedThaw: patients, images, initial weights, evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision.transforms import v2

from benchmarks.recipe_arms.job import Job, model_path
from benchmarks.torchvision_network import torchvision_network
from client.data.augment import recipe_augmentation
from client.data.dataset import Sample
from client.evaluate import evaluate_samples
from client.part import TrainingSamples
from client.workspace import open_workspace, training_samples
from server.federation.global_model import build_reference, full_state, initial_delta
from shared.metrics.binary import auroc
from shared.metrics.histogram import Histogram
from shared.model.network import build_network
from shared.model.pretrained import load_base

Loader = DataLoader[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Beginning:
    """Each site's patients, split as FedThaw splits them, and the weights that all begin with."""

    sites: tuple[TrainingSamples, ...]
    state: dict[str, Tensor]


def begin(job: Job) -> Beginning:
    """Open the sites of a job; its images are decoded into the caches where they are not yet."""
    config = job.config()
    sites = tuple(
        training_samples(open_workspace({"site": folder}, config), config) for folder in job.sites
    )
    reference = build_reference(config, load_base(config))
    return Beginning(sites, full_state(reference, initial_delta(reference, config)))


class Radiographs(Dataset[tuple[Tensor, Tensor]]):
    """Images of the sites' caches, loaded and augmented again each time they are asked for."""

    def __init__(self, samples: Sequence[Sample], augment: v2.Transform | None) -> None:
        self._samples, self._augment = samples, augment

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self._samples[index]
        image = sample.load()
        if self._augment is not None:
            image = self._augment(image)
        return image, torch.tensor(float(sample.radiograph.label))


def train_loader(samples: Sequence[Sample], job: Job, workers: int = 0) -> Loader:
    """As many images an epoch as there are, both classes equally often, the recipe's augmentations.

    A single image left over is dropped: BatchNorm may not take statistics of one.
    """
    config = job.config()
    labels = torch.tensor([sample.radiograph.label for sample in samples])
    weights = 1.0 / torch.bincount(labels, minlength=2).double()[labels]
    return DataLoader(
        Radiographs(samples, recipe_augmentation(config.image_size)),
        batch_size=config.batch_size,
        sampler=WeightedRandomSampler(weights.tolist(), len(samples)),
        drop_last=len(samples) % config.batch_size == 1,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def validation_loader(samples: Sequence[Sample], job: Job) -> Loader:
    return DataLoader(Radiographs(samples, None), batch_size=job.config().batch_size)


def validate(model: nn.Module, loader: Loader, device: torch.device) -> tuple[float, float]:
    """Mean loss and accuracy over the images."""
    model.eval()
    loss, correct, images = 0.0, 0.0, 0
    with torch.no_grad():
        for batch, answers in loader:
            labels = answers.to(device)
            logits = model(batch.to(device))
            loss += float(binary_cross_entropy_with_logits(logits, labels, reduction="sum"))
            correct += float(((logits > 0) == (labels > 0)).sum())
            images += len(labels)
    return loss / images, correct / images


def network(job: Job) -> nn.Module:
    """The job's architecture as torchvision has it."""
    config = job.config()
    return torchvision_network(config.backbone, config.dropout)


def device_of_this_machine() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def save_model(folder: Path, state: dict[str, Tensor]) -> None:
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    save_file(tensors, model_path(folder))


def external_auroc(job: Job, folder: Path) -> float:
    """The final model on the external site's patients, in float32, the same for every arm."""
    config = job.config()
    workspace = open_workspace({"site": job.external}, config)
    model = build_network(config.backbone, config.dropout)
    model.load_state_dict(load_file(model_path(folder)))
    model.to(workspace.device)
    histogram = evaluate_samples(model, workspace.all_samples(), config.batch_size)
    assert isinstance(histogram, Histogram)
    return float(auroc(histogram) or 0.0)
