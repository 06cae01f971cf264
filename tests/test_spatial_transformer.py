"""The spatial transformer of EmoNeXt learns to undo a known shift from the classification loss alone."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fer_study.data.twin import synthetic
from fer_study.models.emonext import SpatialTransformer

MOST = 8


def shifted(images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Images moved by up to 8 px right and down, borders repeated, and by how much."""
    shift = torch.randint(-MOST, MOST + 1, (len(images), 2), generator=generator)
    padded = F.pad(images, (MOST,) * 4, mode="replicate")
    moved = [x[:, MOST - dy : MOST - dy + 48, MOST - dx : MOST - dx + 48] for x, (dx, dy) in zip(padded, shift, strict=True)]
    return torch.stack(moved) * 2 - 1, shift.float()


def recovered(stn: SpatialTransformer, images: torch.Tensor) -> list[tuple[float, float]]:
    """For x and y: share of the shift that the transformer takes back (slope), and its correlation with the shift."""
    moved, shift = shifted(images, torch.Generator().manual_seed(5))
    with torch.no_grad():
        theta = stn.eval().regressor(stn.localization(moved).flatten(1)).view(-1, 2, 3)
    wanted, found = (shift * 2 / 47).numpy(), theta[:, :, 2].numpy()  # what moved right by d is read at +d
    with np.errstate(invalid="ignore"):  # one that moves nothing has no correlation
        return [(np.polyfit(wanted[:, i], found[:, i], 1)[0], np.corrcoef(wanted[:, i], found[:, i])[0, 1]) for i in (0, 1)]


def test_a_known_shift_is_partly_recovered():
    faces = synthetic.make(1500, 0, "lab")
    images = torch.from_numpy(faces.images).float() / 255
    labels = torch.from_numpy(faces.truth["true_label"]).long()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    stn = SpatialTransformer(1, 48)
    stn.start_as_identity()
    classifier = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 7))
    optimiser = torch.optim.Adam([{"params": stn.parameters(), "lr": 5e-4}, {"params": classifier.parameters(), "lr": 3e-3}])
    train, held_out = images[:1200], images[1200:]
    assert all(abs(slope) < 1e-6 for slope, _ in recovered(stn, held_out))
    for _ in range(12):
        moved, _ = shifted(train, generator)
        stn.train()
        for rows in torch.randperm(len(train), generator=generator).split(64):
            loss = F.cross_entropy(classifier(stn(moved[rows])), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for slope, correlation in recovered(stn, held_out):
        assert 0.2 < slope < 1.3 and correlation > 0.6
