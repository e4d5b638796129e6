"""From image files to scores, and on demand their explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from client.data.dataset import to_input
from client.data.fates import SHARED
from client.evaluate import require_numbers
from client.imaging.limits import MAXIMUM_PIXELS
from client.predict.distance import (
    described_layers,
    divergence_of_noise,
    measured_divergences,
)
from client.predict.explain import grad_cam, remove_explanation, write_explanation
from client.predict.files import ReadImage, Refused, read_in_batches
from client.predict.overlay import Legend
from client.predict.owners import Owner
from client.predict.scores import (
    ImageScore,
    Person,
    Prediction,
    notes_on,
    person_of,
    point_of,
    score_classes,
    score_patients,
    shared_images,
)
from shared.model.final import load_final_model
from shared.model.network import Network
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.run.finished import Calibration, FinishedRun
from shared.storage.files import make_private_folder

BATCH = 8


@dataclass(frozen=True)
class _Scorer:
    model: Network
    layers: tuple[nn.BatchNorm2d, ...]
    noise: float
    """The divergence that is a distance of 1."""
    run: str
    finding: str
    explain: Path | None
    owners: Mapping[Path, Owner]
    outcome: Outcome


def predict(
    finished: FinishedRun,
    files: Sequence[Path],
    device: torch.device,
    *,
    owners: Mapping[Path, Owner] | None = None,
    point: str | None = None,
    explain: Path | None = None,
    maximum_pixels: int = MAXIMUM_PIXELS,
    on_image: Callable[[int], None] = lambda done: None,
) -> Prediction:
    """Score the files with the run's final model; `explain` is the folder for explanations.

    `owners` has the patients of files that a table names; others go by their Patient ID.
    An image of more than `maximum_pixels` is refused. `on_image(done)` follows the files. Raises
    ConfigError for an operating point that the run does not know, FedThawError where the model
    gives NaN scores or no helper can decode, OSError where `explain` cannot be written. A bad
    image is refused and never stops the others.
    """
    config, chosen = finished.stored.config, point_of(finished, point)
    scorer = _scorer(finished, device, explain, owners or {})
    images: list[ImageScore] = []
    refused: list[Refused] = []
    done = 0
    batches = read_in_batches(
        files, config.image_size, config.image_fit, BATCH, maximum_pixels, config.channels
    )
    for batch in batches:
        judged = [_judged(item, scorer.owners) for item in batch]
        refused += [item for item in judged if isinstance(item, Refused)]
        read = [item for item in judged if isinstance(item, ReadImage)]
        images += _score(scorer, read, len(images)) if read else []
        done += len(batch)
        on_image(done)
    images, shared = _without_shared(images, explain)
    images = _count_copies_once(images)
    calibration = finished.calibration or Calibration(None, ())
    return Prediction(
        run=finished.stored.run,
        point=chosen,
        temperature=calibration.temperature,
        recalibration=calibration.recalibration,
        images=tuple(images),
        patients=score_patients(images, chosen, calibration.recalibration)
        if config.predicts == BINARY
        else score_classes(images),
        refused=(*refused, *shared),
        caution=finished.caution,
        outcome=config.predicts,
    )


def _scorer(
    finished: FinishedRun, device: torch.device, explain: Path | None, owners: Mapping[Path, Owner]
) -> _Scorer:
    config, stored = finished.stored.config, finished.stored
    model = load_final_model(finished.model, finished.backbone, config.outputs, config.channels).to(
        device
    )
    model.requires_grad_(False)
    if explain is not None:
        make_private_folder(explain)
    layers = described_layers(model, config)
    noise = divergence_of_noise(model, layers, config.image_size) if layers else 1.0
    return _Scorer(
        model, layers, noise, stored.run, stored.finding, explain, owners, config.predicts
    )


def _score(scorer: _Scorer, read: Sequence[ReadImage], before: int) -> list[ImageScore]:
    """One batch through the network; `before` images have been scored."""
    device = scorer.model.device
    inputs = torch.stack([to_input(image.square) for image in read]).to(device)
    with torch.no_grad(), measured_divergences(scorer.layers) as measured:
        explained = scorer.model.backbone.explained
        features = scorer.model.prefix(inputs, explained)
        raw = scorer.model.rest(features, explained)
    logits = raw.double().cpu().numpy()
    require_numbers(logits)
    distances: list[float | None] = [None] * len(read)
    if measured:
        distances = (torch.stack(measured).mean(dim=0) / scorer.noise).cpu().tolist()
    outcome = scorer.outcome
    scores = outcome.probabilities(logits).reshape(len(read), outcome.outputs).tolist()
    _, which = outcome.explained(raw)
    probabilities = [
        outcome.explained_probability(own, one) for own, one in zip(scores, which, strict=True)
    ]
    names: list[str | None] = [None] * len(read)
    if scorer.explain is not None:
        maps = grad_cam(scorer.model, features, outcome).cpu().numpy()
        for place, image in enumerate(read):
            named = outcome.explained_names[which[place]]
            legend = Legend(named or scorer.finding, probabilities[place])
            names[place] = write_explanation(
                scorer.explain, before + place + 1, image, maps[place], legend, scorer.run
            )
    return [
        ImageScore(
            file=image.path,
            site=site,
            patient=patient,
            identified=identified,
            fingerprint=image.fingerprint,
            probability=probabilities[place],
            distance=distances[place],
            notes=notes_on(image.facts, owner),
            explanation=names[place],
            scores=() if outcome == BINARY else tuple(scores[place]),
        )
        for place, image in enumerate(read)
        for owner in [scorer.owners.get(image.path)]
        for site, identified, patient in [person_of(image, owner)]
    ]


def _judged(item: ReadImage | Refused, owners: Mapping[Path, Owner]) -> ReadImage | Refused:
    """The image, unless its site leaves such images out."""
    owner = owners.get(item.path)
    if isinstance(item, Refused) or owner is None:
        return item
    reason = owner.refusal_of(item.facts)
    return item if reason is None else Refused(item.path, reason)


def _without_shared(
    images: Sequence[ImageScore], explain: Path | None
) -> tuple[list[ImageScore], list[Refused]]:
    """Nobody knows whose image it is that is filed under several Patient IDs."""
    shared = shared_images(images)
    for image in images:
        if image.fingerprint in shared and explain is not None and image.explanation is not None:
            remove_explanation(explain, image.explanation)
    kept = [image for image in images if image.fingerprint not in shared]
    return kept, [Refused(image.file, SHARED) for image in images if image.fingerprint in shared]


def _count_copies_once(images: Sequence[ImageScore]) -> list[ImageScore]:
    """A further copy of a patient's image does not count again, as in admission."""
    seen: set[tuple[Person, str]] = set()
    counted = []
    for image in images:
        key = (image.person, image.fingerprint)
        copy = key in seen
        note = ("copy of another file of the patient, counted once",) if copy else ()
        counted.append(replace(image, counts=not copy, notes=(*image.notes, *note)))
        seen.add(key)
    return counted
