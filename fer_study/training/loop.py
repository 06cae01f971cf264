"""The training loop: phases, EMA, mixed precision, exact resume. Read ``fit`` from top to bottom."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ..analysis.metrics import accuracy, log_loss
from ..models import FaceModel
from ..models.resface import check_loss
from ..settings.errors import InputError
from ..settings.experiment import LossConfig, PhaseConfig, RunConfig
from .augment import augment
from .batches import Batches
from .checkpoint import CHECKPOINT, Progress, copy_state, load_checkpoint, save_checkpoint
from .losses import class_weights, label_distribution_loss, smooth, soft_cross_entropy
from .predict import log_probabilities

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


class TrainingFailed(RuntimeError):
    """Training broke (a loss or a prediction that is not finite); the message says where."""


class OutOfTime(RuntimeError):
    """The time allowed is over; the checkpoint on disk goes on from here."""


@dataclass
class Weights:
    """Weights of a finished training, as state dicts: of the last epoch, the best on validation (None where there is none,
    so that nothing chose), and the EMA (or None)."""

    last: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor] | None
    ema: dict[str, torch.Tensor] | None
    history: pd.DataFrame

    def states(self) -> dict[str, dict[str, torch.Tensor]]:
        """Kind -> weights, those that there are."""
        kinds = {"last": self.last, "best": self.best, "ema": self.ema}
        return {kind: state for kind, state in kinds.items() if state is not None}


def learning_rate(config: RunConfig, epoch: int, step: int, steps: int) -> float:
    """Learning rate of a step: constant, cosine to zero, or one cycle (Smith, 2018; a quarter of the phase up)."""
    for phase in config.phases:
        if epoch < phase.epochs:
            break
        epoch -= phase.epochs
    done = (epoch * steps + step) / (phase.epochs * steps)
    if phase.schedule == "cosine":
        return phase.lr * (1 + math.cos(math.pi * done)) / 2
    if phase.schedule == "one_cycle":
        return phase.lr * (done / 0.25 if done < 0.25 else (1 + math.cos(math.pi * (done - 0.25) / 0.75)) / 2)
    return phase.lr


def make_optimiser(config: RunConfig, model: FaceModel) -> torch.optim.Optimizer:
    """The optimiser over all parameters; frozen ones have no gradient and are passed over."""
    chosen, lr = config.optimiser, config.phases[0].lr
    if chosen.name == "sgd":
        nesterov = chosen.nesterov and chosen.momentum > 0
        return torch.optim.SGD(model.parameters(), lr, chosen.momentum, weight_decay=chosen.weight_decay, nesterov=nesterov)
    kind = torch.optim.Adam if chosen.name == "adam" else torch.optim.AdamW
    return kind(model.parameters(), lr, weight_decay=chosen.weight_decay)


def unfreeze(model: FaceModel, stages: int | str) -> None:
    """Let ``stages`` stages, counted from the head, learn, and freeze the others; ``all`` frees everything."""
    model.requires_grad_(stages == "all")
    if stages != "all":
        for stage in model.stages()[:stages]:
            stage.requires_grad_(True)


def frozen_to_eval(model: FaceModel) -> None:
    """Training mode, but frozen stages keep their batch statistics."""
    model.train()
    for stage in model.stages():
        learns = [p.requires_grad for p in stage.parameters()]
        if learns and not any(learns):
            stage.eval()


def mixup(
    images: torch.Tensor, target: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup (Zhang et al., 2018, eq. 1): one Beta(alpha, alpha) weight per batch, drawn on the generator's device."""
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    order = torch.randperm(len(images), generator=generator, device=generator.device).to(images.device)
    return share * images + (1 - share) * images[order], share * target + (1 - share) * target[order]


def drawn(target: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One class of each image, drawn from its distribution: (B, K) one-hot (Barsoum et al., 2016, section 3, "probabilistic
    label drawing": another draw each time an image is shown)."""
    return torch.zeros_like(target).scatter_(1, torch.multinomial(target, 1, generator=generator), 1.0)


def fit(
    config: RunConfig,
    model: FaceModel,
    train: Batches,
    validation: tuple[torch.Tensor, np.ndarray],
    folder: Path,
    fabric: Fabric,
    deadline: float | None = None,
    teacher: FaceModel | None = None,
) -> Weights:
    """Train a model; resume from the checkpoint in ``folder`` where there is one.

    Args:
        train: the training batches, on the device.
        validation: ``(images (N, C, H, W) uint8 on the device, labels (N,) int64)``, scored after every epoch; empty: none.
        deadline: ``time.monotonic()`` after which training stops at the next epoch's end.
        teacher: the frozen network that ``config.loss.teacher`` names, on the device, in evaluation mode.

    Raises:
        InputError: there are no epochs, or no batch to train on, or too few steps to update the EMA once, or the loss does
            not go with the network's penalty.
        TrainingFailed: a loss or a prediction on validation is not finite.
        OutOfTime: the deadline passed; a later call goes on exactly where this one stopped.
    """
    check_steps(config, len(train))
    check_loss(config)
    optimiser = make_optimiser(config, model)
    wrapped, optimiser = fabric.setup(model, optimiser)
    wrapped.mark_forward_method("forward_with_penalty")  # in the precision that Fabric set up
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema.decay), use_buffers=True) if config.ema else None
    weights = class_weights(config.loss.class_weights, train.targets.sum(dim=0), train.classes)
    checkpoint = folder / CHECKPOINT
    progress, best = load_checkpoint(checkpoint, config.key, model, optimiser, ema, fabric)

    with tqdm(
        total=config.epochs, initial=progress.epoch, desc=config.name or config.key, unit="epoch", mininterval=5
    ) as bar:
        for epoch in range(progress.epoch, config.epochs):
            if deadline is not None and time.monotonic() > deadline:
                raise OutOfTime(f"{config.name or config.key}: stopped after epoch {epoch} of {config.epochs}")
            if stopped_early(config, progress):
                break
            unfreeze(model, phase_of(config, epoch).unfreeze)
            row = train_epoch(config, epoch, wrapped, train, optimiser, weights, ema, fabric, teacher)
            row |= validate(config, model, fabric, validation)
            if row["validation_accuracy"] > progress.best_accuracy:
                progress.best_accuracy, progress.best_epoch = row["validation_accuracy"], epoch + 1
                best = copy_state(model)
            progress.history.append(row)
            progress.epoch = epoch + 1
            save_checkpoint(checkpoint, config.key, model, optimiser, ema, progress, best)
            bar.update()
            scored = {"validation": f"{row['validation_accuracy']:.4f}"} if len(validation[1]) else {}
            bar.set_postfix(loss=f"{row['train_loss']:.3f}", **scored)
    last = copy_state(model)
    if progress.best_epoch == progress.epoch:
        best = last  # one object, so that it is scored once
    return Weights(last, best, copy_state(ema.module) if ema else None, pd.DataFrame(progress.history))


def check_steps(config: RunConfig, batches: int) -> None:
    """Refuse what would train nothing, or leave the EMA at its start; see ``fit``."""
    name, steps = config.name or config.key, config.epochs * batches
    if not steps:
        raise InputError(f"{name}: too few {'training images' if config.epochs else 'epochs'} to train a network on")
    if config.ema and config.ema.every > steps:
        raise InputError(f"{name}: ema.every is {config.ema.every}, allowed: at most {steps}, all its steps")


def train_epoch(config: RunConfig, epoch: int, wrapped: FaceModel, train: Batches, optimiser: torch.optim.Optimizer,
                weights: torch.Tensor | None, ema: AveragedModel | None, fabric: Fabric,
                teacher: FaceModel | None = None) -> dict[str, float]:  # fmt: skip
    """One pass over the training images; all its randomness follows from the run's seed and the epoch.

    Args:
        epoch: from 0.
        wrapped: the network as ``fabric.setup`` returned it.
        weights: (K,) float32 class weights, or None.
        teacher: as in ``fit``.

    Returns:
        The row of the history, without validation.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    generator = torch.Generator(device=fabric.device).manual_seed(config.seed * 1_000_003 + epoch)
    torch.manual_seed(config.seed * 1_000_003 + epoch)  # dropout and the like
    frozen_to_eval(wrapped)
    start, seen, loss_sum, hits = time.perf_counter(), 0, torch.zeros((), device=fabric.device), 0
    for step, (images, target) in enumerate(train.epoch(generator)):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, epoch, step, len(train))
        if config.data.annotation == "probability":
            target = drawn(target, generator)
        x = augment(images, config.augment, config.model.input_size, generator)
        if config.loss.mixup:
            x, target = mixup(x, target, config.loss.mixup, generator)
        with fabric.autocast():
            logits, penalty = wrapped.forward_with_penalty(x)
            taught = target if teacher is None else taught_by(teacher, x)
        loss = batch_loss(config.loss, logits, taught, weights)
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(loss + penalty)
        if config.clip:
            fabric.clip_gradients(wrapped, optimiser, max_norm=config.clip, error_if_nonfinite=False)
        optimiser.step()
        if ema is not None and (epoch * len(train) + step + 1) % config.ema.every == 0:
            ema.update_parameters(wrapped.module)
        seen += len(images)
        loss_sum += loss.detach() * len(images)
        hits += (logits.detach().argmax(1) == target.argmax(1)).sum()
    loss, rate = float(loss_sum) / seen, learning_rate(config, epoch, step, len(train))
    if not math.isfinite(loss):
        name = config.name or config.key
        raise TrainingFailed(f"{name}: loss is {loss} in epoch {epoch + 1}; lr {rate:g} may be too high")
    seconds = time.perf_counter() - start
    return {
        "epoch": epoch + 1,
        "train_loss": loss,
        "train_accuracy": float(hits) / seen,
        "lr": rate,
        "seconds": seconds,
        "images_per_second": seen / seconds,
    }


def taught_by(teacher: FaceModel, images: torch.Tensor) -> torch.Tensor:
    """The teacher's distribution over the classes for each of the same augmented images: (B, K) float32."""
    with torch.no_grad():
        return teacher(images).float().softmax(dim=1)


def batch_loss(config: LossConfig, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """The loss that a config names, of ``logits`` against ``target``, both (B, K): scalar float32."""
    target = smooth(target, config.label_smoothing)
    if config.distribution != "none":
        return label_distribution_loss(logits, target, config.distribution)
    return soft_cross_entropy(logits, target, weights, config.reduction)


def validate(
    config: RunConfig, model: FaceModel, fabric: Fabric, validation: tuple[torch.Tensor, np.ndarray]
) -> dict[str, float]:
    """Loss and accuracy on validation, single view; NaN where there are no validation images.

    Raises:
        TrainingFailed: a prediction is not finite.
    """
    images, labels = validation
    if not len(labels):
        return {"validation_loss": math.nan, "validation_accuracy": math.nan}
    with fabric.autocast():
        logits = finite(config, log_probabilities(model, images, config.augment, config.model.input_size))
    return {"validation_loss": log_loss(logits, labels), "validation_accuracy": accuracy(logits, labels)}


def finite(config: RunConfig, logits: np.ndarray) -> np.ndarray:
    """The same ``logits``.

    Raises:
        TrainingFailed: one is not finite.
    """
    if not np.isfinite(logits).all():
        raise TrainingFailed(f"{config.name or config.key}: a prediction is not finite; the learning rate may be too high")
    return logits


def phase_of(config: RunConfig, epoch: int) -> PhaseConfig:
    """The phase that an epoch belongs to."""
    for phase in config.phases:
        if epoch < phase.epochs:
            return phase
        epoch -= phase.epochs
    raise ValueError(f"epoch is {epoch} past the end, allowed: 0..{config.epochs - 1}")


def stopped_early(config: RunConfig, progress: Progress) -> bool:
    """No better validation accuracy for ``patience`` epochs; never without validation images, where no epoch is the best."""
    return config.patience is not None and 0 < progress.best_epoch <= progress.epoch - config.patience
