"""Train a network: phases, averages of weights, mixed precision, exact resume. Read it downwards.

What a batch teaches is not the loop's business (``objectives.py``), nor how images are changed
(``augment.py``).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ..analysis.metrics import accuracy, log_loss
from ..models import FaceModel, create_model
from ..settings.errors import InputError
from ..settings.experiment import GanConfig, OptimiserConfig, PhaseConfig, RunConfig
from .augment import training_view
from .batches import Batches
from .checkpoint import CHECKPOINT, Learner, Progress, copy_state, load_checkpoint, save_checkpoint
from .frozen_features import FixedView, fixed_view
from .objectives import Objective, make_objective
from .predict import log_probabilities

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LAST_EPOCHS = 5
"""Epochs at the end of a training whose weights are averaged (``mean``)."""

OnEpoch = Callable[[FaceModel, dict[str, float]], None]
"""Called with the network and the row of the history after each epoch, before anything is chosen by
it or saved."""

Teach = Callable[..., Objective]
"""Called with config, network, images by class, names of the classes and the generator of the
epochs, as ``make_objective`` is."""


class TrainingFailed(RuntimeError):
    """Training broke (a loss or a prediction that is not finite); the message says where."""


class OutOfTime(RuntimeError):
    """The time allowed is over; the checkpoint on disk goes on from here."""


@dataclass
class TrainedStates:
    """Weights of a finished training, as state dicts, and its history.

    Attributes:
        last: of the last epoch.
        best: of the best epoch on validation; None where there is no validation, so that nothing
            chose.
        ema: the exponential moving average; None where the config has none.
        mean: the mean over the last ``LAST_EPOCHS`` epochs (Izmailov et al., 2018, without its
            learning rates), with its own batch statistics; None where training stopped early, or
            has one epoch.
        history: one row an epoch.
        origin: of its initial weights, as ``weights.load`` gave it; empty: none were loaded.
    """

    last: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor] | None
    ema: dict[str, torch.Tensor] | None
    mean: dict[str, torch.Tensor] | None
    history: pd.DataFrame
    origin: dict[str, object]

    def states(self) -> dict[str, dict[str, torch.Tensor]]:
        """Kind -> weights, those that there are."""
        kinds = {"last": self.last, "best": self.best, "ema": self.ema, "mean": self.mean}
        return {kind: state for kind, state in kinds.items() if state is not None}


def fit(
    config: RunConfig,
    model: FaceModel,
    train: Batches,
    validation: tuple[torch.Tensor, np.ndarray],
    folder: Path,
    fabric: Fabric,
    deadline: float | None = None,
    teach: Teach = make_objective,
    on_epoch: OnEpoch | None = None,
    origin: dict[str, object] | None = None,
) -> TrainedStates:
    """Train a model; resume from the checkpoint in ``folder`` where there is one.

    Args:
        train: the training batches, on the device.
        validation: ``(images (N, C, H, W) uint8 on the device, labels (N,) int64)``; empty: none.
        deadline: ``time.monotonic()`` after which training stops at the next epoch's end.
        teach: gives the objective, which is all that the loop knows of teaching.
        origin: see ``TrainedStates``; that of a run which goes on is in its checkpoint.

    Raises:
        InputError: there are no epochs, or no batch to train on, or too few steps to update the EMA
            once, or the loss does not go with the network, or a phase has images of a side that the
            network cannot take.
        TrainingFailed: a loss or a prediction on validation is not finite.
        OutOfTime: the deadline passed; a later call goes on exactly where this one stopped.
    """
    check_steps(config, len(train))
    check_sides(config, model, train)
    check_phases(config, model)
    name, checkpoint = config.name or config.key, folder / CHECKPOINT
    learner = make_learner(config, model, train, fabric, teach)
    progress, best = load_checkpoint(checkpoint, config.key, learner, fabric)
    progress.origin = progress.origin or origin or {}
    progress.precision = fabric._precision.precision

    with tqdm(
        total=config.epochs, initial=progress.epoch, desc=name, unit="epoch", mininterval=5
    ) as bar:
        for epoch in range(progress.epoch, config.epochs):
            if deadline is not None and time.monotonic() > deadline:
                raise OutOfTime(f"{name}: stopped after epoch {epoch} of {config.epochs}")
            if should_stop(config, progress):
                break
            row = train_epoch(config, epoch, learner, train, fabric) | validate(
                config, model, fabric, validation
            )
            if on_epoch is not None:
                on_epoch(model, row)
            # NaN, without validation, is never greater
            if row["validation_accuracy"] > progress.best_accuracy:
                progress.best_accuracy, progress.best_epoch = row["validation_accuracy"], epoch + 1
                best = copy_state(model)
            if epoch >= config.epochs - LAST_EPOCHS:
                learner.mean.update_parameters(model)
            progress.history.append(row)
            progress.epoch = epoch + 1
            save_checkpoint(checkpoint, config.key, learner, progress, best)
            bar.update()
            scored = (
                {"validation": f"{row['validation_accuracy']:.4f}"} if len(validation[1]) else {}
            )
            bar.set_postfix(loss=f"{row['train_loss']:.3f}", **scored)

    last = copy_state(model)
    if progress.best_epoch == progress.epoch:
        best = last  # one object, so that it is scored once
    ema = copy_state(learner.ema.module) if learner.ema else None
    mean = (
        mean_state(config, learner, train, fabric) if progress.epoch == config.epochs > 1 else None
    )
    return TrainedStates(last, best, ema, mean, pd.DataFrame(progress.history), progress.origin)


def train_epoch(
    config: RunConfig, epoch: int, learner: Learner, train: Batches, fabric: Fabric
) -> dict[str, float]:
    """One pass over the training images.

    Args:
        epoch: from 0.

    Returns:
        The row of the history, without validation.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    generator = seed_epoch(config, epoch, learner.generator)
    unfreeze(learner.model, phase_at(config, epoch)[0].unfreeze)
    set_train_mode(learner.network)
    side = phase_at(config, epoch)[0].input_size or config.model.input_size
    # what else runs on the machine lengthens an epoch, and hardly what it takes of the cores
    start, busy, seen, hits, sums = time.perf_counter(), time.process_time(), 0, 0, {}
    view = view_of_epoch(config, epoch, learner, train, fabric)
    batches = train if view is None else view.batches
    for step, (images, targets) in enumerate(batches.epoch(generator)):
        for group in learner.optimiser.param_groups:
            group["lr"] = group.get("factor", 1) * learning_rate(config, epoch, step, len(train))
        if view is None:
            images = training_view(images, train.is_rare(targets), config, side, generator)
        # of a fixed view the batch holds row numbers
        shown = contextlib.nullcontext(images) if view is None else view.shown(images)
        with shown as images, fabric.autocast():  # losses compute in float32 all the same
            loss, logits, logs = learner.objective.step(images, targets)
        learner.optimiser.zero_grad(set_to_none=True)
        fabric.backward(loss)
        if config.clip:  # a gradient that is not finite is said below, in one line
            fabric.clip_gradients(
                learner.network, learner.optimiser, max_norm=config.clip, error_if_nonfinite=False
            )
        learner.optimiser.step()
        if learner.ema is not None and (epoch * len(train) + step + 1) % config.ema.every == 0:
            learner.ema.update_parameters(learner.model)
        # Sums stay on the device: to read a number here would make it wait for every batch.
        seen += len(images)
        hits += (logits.detach().argmax(1) == targets.argmax(1)).sum()
        for part, value in ({"loss": loss} | logs).items():
            sums[part] = sums.get(part, 0) + value.detach() * len(images)
    means = {part: float(total) / seen for part, total in sums.items()}
    rate = learning_rate(config, epoch, step, len(train))
    for part, mean in means.items():
        if not math.isfinite(mean):
            name = config.name or config.key
            raise TrainingFailed(
                f"{name}: {part} is {mean} in epoch {epoch + 1}; lr {rate:g} may be too high"
            )
    seconds = time.perf_counter() - start
    return {
        "epoch": epoch + 1,
        "train_loss": means.pop("loss"),
        "train_accuracy": means.pop("accuracy", float(hits) / seen),
        "lr": rate,
        "seconds": seconds,
        "core_seconds": time.process_time() - busy,
        "images_per_second": seen / seconds,
        **{f"train_{part}": mean for part, mean in means.items()},
    }


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
        logits = log_probabilities(model, images, config.augment, config.model.input_size)
    check_finite(config, logits)
    return {
        "validation_loss": log_loss(logits, labels),
        "validation_accuracy": accuracy(logits, labels),
    }


def mean_state(
    config: RunConfig, learner: Learner, train: Batches, fabric: Fabric
) -> dict[str, torch.Tensor]:
    """The mean weights, with batch statistics of one more pass over the training images: those of
    averaged weights are not the average of statistics (Izmailov et al., 2018, section 3.2). What is
    frozen in the last phase keeps its own."""
    generator, model = seed_epoch(config, config.epochs, learner.generator), learner.mean.module
    unfreeze(model, phase_at(config, config.epochs - 1)[0].unfreeze)
    set_train_mode(model)
    views = (
        training_view(images, train.is_rare(targets), config, config.model.input_size, generator)
        for images, targets in train.epoch(generator)
    )
    with fabric.autocast():
        recompute_batch_statistics(model, views)
    return copy_state(model)


@torch.no_grad()
def recompute_batch_statistics(model: torch.nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of batch normalisations in training mode by their mean over
    ``batches``."""
    kind = torch.nn.modules.batchnorm._BatchNorm
    momenta = {
        norm: norm.momentum for norm in model.modules() if isinstance(norm, kind) and norm.training
    }
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean in place of a moving one
    for images in batches if momenta else ():
        model(images)
    for norm, momentum in momenta.items():
        norm.momentum = momentum


def make_learner(
    config: RunConfig,
    model: FaceModel,
    train: Batches,
    fabric: Fabric,
    teach: Teach = make_objective,
) -> Learner:
    """Everything that changes while a network learns, at its start; arguments as in ``fit``."""
    optimiser = make_optimiser(config, model)
    network, optimiser = fabric.setup(model, optimiser)
    network.mark_forward_method("training_outputs")  # in the precision that Fabric set up
    generator = torch.Generator(device=fabric.device)
    objective = teach(config, network, train.targets.sum(dim=0), train.classes, generator)
    if objective.learned is not None:
        optimiser.add_param_group({"params": list(objective.learned.parameters())})
    ema = (
        AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema.decay), use_buffers=True)
        if config.ema
        else None
    )
    mean = AveragedModel(model)
    return Learner(model, network, objective, optimiser, generator, ema, mean)


def make_optimiser(config: RunConfig, model: FaceModel) -> torch.optim.Optimizer:
    """The optimiser over all parameters; frozen ones have no gradient and are passed over.

    Raises:
        InputError: a rate for the spatial transformer of a network that has none.
    """
    chosen, lr = config.optimiser, config.phases[0].lr
    parameters = parameter_groups(config, model)
    if chosen.name == "sgd":
        nesterov = chosen.nesterov and chosen.momentum > 0
        return torch.optim.SGD(
            parameters, lr, chosen.momentum, weight_decay=chosen.weight_decay, nesterov=nesterov
        )
    if chosen.name == "muon":
        return make_muon(chosen, model, lr)
    kind = torch.optim.Adam if chosen.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr, weight_decay=chosen.weight_decay)


def parameter_groups(config: RunConfig, model: FaceModel) -> list[dict] | list[torch.nn.Parameter]:
    """All parameters, in two groups where the spatial transformer learns at a rate of its own."""
    factor, warping = config.optimiser.warp_rate, model.spatial_transformer()
    if factor == 1:
        return list(model.parameters())
    if warping is None:
        name = config.name or config.key
        raise InputError(
            f"{name}: optimiser.warp_rate is {factor}, allowed for {config.model.name}, without a "
            "spatial transformer: 1"
        )
    own = set(warping.parameters())
    rest = [one for one in model.parameters() if one not in own]
    return [{"params": rest}, {"params": list(warping.parameters()), "factor": factor}]


def make_muon(chosen: OptimiserConfig, model: FaceModel, lr: float) -> torch.optim.Optimizer:
    """Muon (Jordan et al., 2024): momentum whose matrix is orthogonalised, for the weights of
    convolutions; all else by AdamW at a tenth of the learning rate."""
    from timm.optim.muon import Muon  # seconds to import, so not on every start

    filters = [p for p in model.parameters() if p.ndim == 4]
    others = [p for p in model.parameters() if p.ndim != 4]
    return Muon(
        [{"params": filters}, {"params": others, "use_fallback": True}],
        lr,
        chosen.weight_decay,
        chosen.momentum,
        chosen.nesterov,
        ns_coefficients="original",
        adjust_lr_fn="original",
        fallback_lr_scale=0.1,
    )


def check_sides(config: RunConfig, model: FaceModel, train: Batches) -> None:
    """Refuse phases of another side for a network whose weights depend on the side of its images.

    Raises:
        InputError: it does, or cannot take that side.
    """
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    for side in {phase.input_size for phase in config.phases} - {None, config.model.input_size}:
        resized = config.model.replace(input_size=side)
        with torch.device("meta"):
            other = create_model(resized, len(train.classes), train.mapped.shape[1])
        if {name: value.shape for name, value in other.state_dict().items()} != shapes:
            raise InputError(
                f"{config.name or config.key}: input_size of a phase is {side}, allowed for "
                f"{config.model.name}: {config.model.input_size}, since its weights depend on the "
                "side of its images"
            )


def check_steps(config: RunConfig, batches: int) -> None:
    """Refuse what would train nothing, or leave the EMA at its start; see ``fit``."""
    name, steps = config.name or config.key, config.epochs * batches
    if not steps:
        raise InputError(
            f"{name}: too few {'training images' if config.epochs else 'epochs'} to train a "
            "network on"
        )
    if config.ema and config.ema.every > steps:
        raise InputError(
            f"{name}: ema.every is {config.ema.every}, allowed: at most {steps}, all its steps"
        )


def check_phases(config: RunConfig, model: FaceModel) -> None:
    """Refuse a phase that frees more stages than the network has; see ``fit``.

    Raises:
        InputError: there is one.
    """
    name, stages = config.name or config.key, len(model.stages())
    for number, phase in enumerate(config.phases):
        if phase.unfreeze != "all" and phase.unfreeze >= stages:
            raise InputError(
                f"{name}: phases.{number}.unfreeze is {phase.unfreeze}, allowed for "
                f"{config.model.name}: 1 to {stages - 1} of its {stages} stages, or all"
            )


def check_finite(config: RunConfig, logits: np.ndarray) -> None:
    """Refuse predictions that are no numbers.

    Raises:
        TrainingFailed: one is not finite.
    """
    if not np.isfinite(logits).all():
        raise TrainingFailed(
            f"{config.name or config.key}: a prediction is not finite; the learning rate may be "
            "too high"
        )


def seed_epoch(
    config: RunConfig | GanConfig, epoch: int, generator: torch.Generator
) -> torch.Generator:
    """Seed an epoch: torch's global generator (dropout and the like), and that of the learner,
    which is returned.

    All randomness of an epoch follows from the run's seed and its number, so a resumed run needs no
    state of generators. The factor is larger than any number of epochs, so that no two seeds have
    an epoch in common.
    """
    seed = config.seed * 1_000_003 + epoch
    torch.manual_seed(seed)
    return generator.manual_seed(seed)


def learning_rate(config: RunConfig, epoch: int, step: int, steps: int) -> float:
    """Learning rate of a step: constant, cosine to zero, or one cycle (Smith, 2018; a quarter of
    the phase up)."""
    phase, epoch = phase_at(config, epoch)
    done = (epoch * steps + step) / (phase.epochs * steps)
    if phase.schedule == "cosine":
        return phase.lr * (1 + math.cos(math.pi * done)) / 2
    if phase.schedule == "one_cycle":
        return phase.lr * (
            done / 0.25 if done < 0.25 else (1 + math.cos(math.pi * (done - 0.25) / 0.75)) / 2
        )
    return phase.lr


def phase_at(config: RunConfig, epoch: int) -> tuple[PhaseConfig, int]:
    """The phase that an epoch belongs to, and its number in that phase."""
    rest = epoch
    for phase in config.phases:
        if rest < phase.epochs:
            return phase, rest
        rest -= phase.epochs
    raise ValueError(f"epoch is {epoch} past the end, allowed: 0..{config.epochs - 1}")


def view_of_epoch(
    config: RunConfig, epoch: int, learner: Learner, train: Batches, fabric: Fabric
) -> FixedView | None:
    """The fixed view that an epoch shows; None where images are augmented anew. Views are kept
    while their phase lasts."""
    phase, number = phase_at(config, epoch)
    if not phase.views:
        learner.views.clear()
        return None
    place, view = config.phases.index(phase), number % phase.views
    if number == 0:
        learner.views.clear()
    if view not in learner.views:
        learner.views[view] = fixed_view(config, learner.model, train, fabric, place, view)
    return learner.views[view]


def should_stop(config: RunConfig, progress: Progress) -> bool:
    """No better validation accuracy for ``patience`` epochs; never without validation images, where
    no epoch is the best."""
    return (
        config.patience is not None and 0 < progress.best_epoch <= progress.epoch - config.patience
    )


def unfreeze(model: FaceModel, stages: int | str) -> None:
    """Let ``stages`` stages, counted from the head, learn, and freeze the others; ``all`` frees
    everything."""
    model.requires_grad_(stages == "all")
    if stages != "all":
        for stage in model.stages()[:stages]:
            stage.requires_grad_(True)


def set_train_mode(model: FaceModel) -> None:
    """Training mode, but frozen stages keep their batch statistics."""
    model.train()
    for stage in model.stages():
        learns = [p.requires_grad for p in stage.parameters()]
        if learns and not any(learns):
            stage.eval()
