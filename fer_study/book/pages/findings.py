"""What single pages need of the records: curves, verdicts on reported numbers, confusions, saliency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...analysis import claims, metrics, verdicts
from ...analysis.metrics import Estimate
from ...analysis.other_labels import mean_over_images
from ...analysis.report import MISSING, SUBSET_NAMES, Record, Runs, classes_of, interval, percent, stacked, title
from ...settings.experiment import DataConfig, TrainingConfig
from ...settings.recipes import load_recipe

LADDER = {"emotion_cnn": "ladder-01", "kernel_cnn": "ladder-02", "simple_resnet": "ladder-03", "cbam_cnn": "ladder-04"}
"""Model -> the claim that states its accuracy."""


def histories(records: Sequence[Record]) -> pd.DataFrame:
    """Histories of all seeds, with a ``seed`` column."""
    return pd.concat([r.history.assign(seed=r.config.seed) for r in records], ignore_index=True)


def curves(records: Sequence[Record]) -> tuple[pd.DataFrame, str]:
    """``histories`` for a figure, and the note below its title.

    Validation is scored against the labels. Training that was scored against something else is left out (NaN); a loss with
    weights and the like is named.
    """
    table, config = histories(records), records[0].config
    other = "the votes" if config.data.targets == "votes" else "mixed labels" if config.loss.mixup else ""
    if other:
        note = f"validation, against the labels; training was scored against {other}: left out"
        return table.assign(train_loss=np.nan, train_accuracy=np.nan), note
    loss = config.loss
    ways = {"against its teacher": loss.teacher, "with class weights": loss.class_weights != "none",
            "with label smoothing": loss.label_smoothing}  # fmt: skip
    used = " and ".join(way for way, on in ways.items() if on)
    if not used:
        return table, "dashed: training; solid: validation"
    return table, f"dashed: training, its loss {used}; solid: validation, its loss without"


def pooled(records: Sequence[Record], view: str, subset: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``report.stacked``, one seed under the other: logits (n, K), labels (n,), image rows (n,)."""
    logits, labels, rows = stacked(records, view, subset)
    return np.concatenate(logits), np.tile(labels, len(logits)), np.tile(rows, len(logits))


def confusion(records: Sequence[Record], view: str = "last_single", subset: str = "test") -> np.ndarray:
    """(K, K) int64 counts, label in rows, summed over seeds."""
    logits, labels, _ = pooled(records, view, subset)
    return metrics.confusion(logits, labels)


def saliency(records: Sequence[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Class-mean Grad-CAM over seeds: maps (K, h, w) float32, NaN where no seed has one, and how many single maps, an image
    and a seed each, stand behind them (K,)."""
    stored = [r.cam for r in records if r.cam]
    if not stored:
        k = len(classes_of(records))
        return np.full((k, 1, 1), np.nan, np.float32), np.zeros(k, np.int64)
    maps = np.stack([c["maps"].astype(np.float32) for c in stored])
    there = ~np.isnan(maps).all(axis=(2, 3))
    total = np.where(there[..., None, None], np.nan_to_num(maps), 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = (total / there.sum(axis=0)[:, None, None]).astype(np.float32)
    return mean, np.where(there, np.stack([c["counts"] for c in stored]), 0).sum(axis=0)


def against_reported(runs: Runs, edition: str, view: str = "last_single", subset: str = "test") -> pd.DataFrame:
    """``name`` (index), ``value, sd, n, low, high`` as of ``report.interval``, ``of`` (how many seeds, in words) and
    ``reported``: accuracy beside what the source reports, on the edition it reports on."""
    stated = {title(name): claims.reported(claim) for name, claim in LADDER.items()} if edition == "fer2013" else {}
    found = {name: interval(records, "accuracy", view, subset) for name, records in runs.items() if records}
    table = pd.DataFrame(found.values(), index=pd.Index(found, name="name"), columns=Estimate._fields)
    return table.assign(of=[verdicts.seeds([n]) for n in table["n"]], reported=table.index.map(stated).astype(float))


def as_claimed(records: Sequence[Record]) -> bool:
    """Trained as the source of the ladder says: its recipe on all training images and hard labels, at full width and 48 px.

    Anything else is "at our scale".
    """
    recipe = load_recipe("ladder")

    def same(record: Record) -> bool:
        config, data, model = record.config, record.config.data, record.config.model
        whole = DataConfig(dataset=data.dataset, faces=data.faces, style=data.style, world_seed=data.world_seed,
                           fingerprint=data.fingerprint)  # fmt: skip
        network = model.options.get("width", 1) == 1 and model.input_size == 48 and model.weights == "scratch"
        trained = all(getattr(config, part) == getattr(recipe, part) for part in TrainingConfig.model_fields)
        return trained and data == whole and network

    return all(map(same, records))


def verdict_table(runs: Runs, edition: str) -> pd.DataFrame:
    """The four reported accuracies: on PrivateTest, on its images without a copy, and merged, each with its verdict."""
    rows = {}
    for model, claim in LADDER.items():
        records, stated = runs.get(title(model), []), claims.reported(claim)
        row = {"claim": claim, "reported": f"{100 * stated:.2f} %", "seeds": len(records)}
        for subset in ("test", "test_clean", "merged"):
            measured = interval(records, subset=subset) if records else MISSING
            row[SUBSET_NAMES[subset]] = percent(measured)
            if subset != "test_clean":
                row[f"verdict, {subset}"] = (
                    verdicts.number(measured, stated, as_claimed(records)) if edition == "fer2013" else "not FER2013"
                )
        rows[title(model)] = row
    return pd.DataFrame(rows).T.rename_axis("system")


def loss_gap(records: Sequence[Record]) -> Estimate:
    """Loss on validation minus loss in training at the last epoch: mean over seeds with its t interval, from two on."""
    ends = [record.history.iloc[-1] for record in records if len(record.history)]
    return metrics.over_seeds([end["validation_loss"] - end["train_loss"] for end in ends]) if ends else MISSING


def pair_lead(records: Sequence[Record], pair: tuple[str, str]) -> Estimate:
    """Share of the test images of which one class of ``pair`` is taken for the other, minus that of the most frequent other
    pair."""
    if not records:
        return MISSING
    logits, labels, _ = stacked(records, "last_single", "test")
    predictions, classes = logits.argmax(axis=2), classes_of(records)
    ends = np.sort(np.stack(np.broadcast_arrays(labels, predictions), axis=2)) @ [1, len(classes)]  # (S, N)
    ends[labels == predictions] = 0  # right: no pair
    stated = np.sort([classes.index(name) for name in pair]) @ [1, len(classes)]
    others = np.bincount(ends[(ends > 0) & (ends != stated)], minlength=2)
    return mean_over_images((ends == stated).astype(float) - (ends == others.argmax()) * others.any())


def confused_pairs(runs: Runs, top: int = 3) -> pd.DataFrame:
    """The most frequent confusions of each system, both directions of a pair together: predictions of all seeds, and their
    share of all predictions for images of the two classes."""
    rows = []
    for name, records in runs.items():
        if not records:
            continue
        matrix, classes = confusion(records), classes_of(records)
        pairs = [(matrix[i, j] + matrix[j, i], matrix[[i, j]].sum(), f"{classes[i]} <-> {classes[j]}")
                 for i in range(len(matrix)) for j in range(i)]  # fmt: skip
        found = [pair for pair in sorted(pairs, reverse=True)[:top] if pair[0]]
        rows += [{"system": name, "pair": pair, "predictions": int(n), "share of both classes": f"{100 * n / total:.1f} %"}
                 for n, total, pair in found]  # fmt: skip
    return pd.DataFrame(rows).set_index("system") if rows else pd.DataFrame()


def reliability(records: Sequence[Record], view: str = "last_single", subset: str = "test") -> pd.DataFrame:
    """Bins of confidence with their accuracy (see ``metrics.reliability``)."""
    logits, labels, _ = pooled(records, view, subset)
    return metrics.reliability(logits, labels)


THIRDS = {"upper": "forehead, brows", "middle": "eyes, nose, cheeks", "lower": "mouth, chin"}
"""What lies in each third of the image; the eyes of every mean face of FER2013 are darkest in row 16 or 17 of 0..47."""


def saliency_thirds(records: Sequence[Record]) -> list[list[Estimate]]:
    """Share of the class-mean saliency in each of ``THIRDS``, a list a class: mean over the seeds that have a map, with its
    interval over them from three on."""
    maps = [r.cam["maps"].astype(np.float64) for r in records if r.cam]
    found = []
    for label in range(len(classes_of(records))):
        sums = [[part.sum() for part in np.array_split(m[label], 3)] for m in maps]
        shares = np.array([[third / sum(thirds) for third in thirds] for thirds in sums if sum(thirds) > 0]).reshape(-1, 3)
        over = [metrics.over_seeds(third, share=True) for third in shares.T]
        few = {} if len(shares) >= verdicts.ENOUGH_SEEDS else {"low": np.nan, "high": np.nan}
        found.append([third._replace(**few) for third in over])
    return found


def saliency_regions(runs: Runs) -> pd.DataFrame:
    """``saliency_thirds`` of each system and class that has a map."""
    rows = [
        [name, label, *(percent(third, 0) for third in thirds), int(n)]
        for name, records in runs.items()
        for label, thirds, n in zip(classes_of(records), saliency_thirds(records), saliency(records)[1], strict=True)
        if thirds[0].n
    ]
    heads = ["system", "class", *(f"{third} third ({parts})" for third, parts in THIRDS.items()), "maps"]
    return pd.DataFrame(rows, columns=heads).set_index(["system", "class"])


def saliency_on_truth(runs: Runs, regions: np.ndarray) -> pd.DataFrame:
    """Class-mean saliency against the regions that the class truly moves.

    Args:
        regions: (K, H, W) in [0, 1], how often a pixel lies in a moved region (``Record.rows["regions"]``).

    Returns:
        Row a system and class: share of the saliency inside the regions, share of the area that they take, and their ratio:
        1 is what a map that knows nothing would reach.
    """
    rows = []
    for name, records in runs.items():
        maps, counts = saliency(records)
        for label, heat, n, region in zip(classes_of(records), np.nan_to_num(maps), counts, regions, strict=True):
            region = region.astype(np.float64)
            if n and heat.sum() and region.sum():
                inside, area = (heat * region).sum() / heat.sum(), region.mean()
                shares = [f"{100 * x:.0f} %" for x in (inside, area)]
                rows.append([name, label, *shares, round(inside / area, 2), int(n)])
    heads = ["system", "class", "saliency inside", "area", "ratio", "maps"]
    return pd.DataFrame(rows, columns=heads).set_index(["system", "class"])


def comparison_numbers(runs: Runs, edition: str) -> dict[str, str]:
    """What other pages quote of the comparison: by model the accuracy on the test split, the seeds, and the verdict."""
    models, judged = {title(model): model for model in (*LADDER, "hog_svm")}, verdict_table(runs, edition)["verdict, test"]
    found = {}
    for name, records in runs.items():
        if model := models.get(name):
            found[f"accuracy_{model}"] = percent(interval(records) if records else MISSING)
            found[f"seeds_{model}"] = str(len(records))
            found[f"verdict_{model}"] = judged.get(name, "-")
    return found
