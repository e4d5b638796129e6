"""One arm, or the probe, from pictures and weights to what it got right."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.slimfit_arms import base
from benchmarks.slimfit_arms.pictures import Pictures, class_names, load
from benchmarks.slimfit_arms.rounds import is_correct, train
from benchmarks.slimfit_arms.task import Arm, Result, Task
from client.model.device import choose_precision
from shared.model.manifest import sizes_of_units
from shared.model.network import Network


def run(task: Task, arm: Arm) -> Result:
    """Train and test."""
    torch.set_num_threads(1)
    config = task.config(arm, class_names(task.pictures))
    pictures = load(task.pictures, "train", task.each)
    began = time.process_time()
    model, plans = train(task, config, pictures, arm.sites)
    seconds = time.process_time() - began
    sizes = sizes_of_units(model, config.batch_norm)
    trained = [sorted(model.backbone.units_of(plan.trainable)) for plan in plans]
    share = statistics.fmean(sum(sizes[unit] for unit in own) for own in trained)
    correct = is_correct(task, config, model, load(task.pictures, "test", task.tested))
    return Result(correct, seconds, share / sum(sizes.values()), trained)


def probe(task: Task) -> float:
    """Accuracy of a logistic regression on the class token, trained and tested on the pictures."""
    torch.set_num_threads(1)
    names = class_names(task.pictures)
    model = base.build(base.read(task.weights), len(names), task.seed).eval()
    learnt = load(task.pictures, "train", task.each)
    tested = load(task.pictures, "test", task.tested)
    fit = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    fit.fit(_features(task, model, learnt), learnt.classes)
    return float(fit.score(_features(task, model, tested), tested.classes))


def _features(task: Task, model: Network, pictures: Pictures) -> NDArray[np.float32]:
    with torch.no_grad(), choose_precision(task.precision, model.device).autocast():
        found = [
            model.pool(model.prefix(pictures.batch(places, task.side), "head")).flatten(1)
            for places in pictures.parts(100)
        ]
    features: NDArray[np.float32] = torch.cat(found).float().numpy()
    return features
