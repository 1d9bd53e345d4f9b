"""Training scripts as users write them, for a GPU, and the model they train."""

from __future__ import annotations

import copy
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

CLASSES, SIDE, BATCH = 10, 64, 8


class Block(nn.Module):
    """Convolution, normalisation and activation, with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + F.silu(self.norm(self.conv(x)))


class Net(nn.Module):
    """A small network of repeated blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 4, 4)
        self.blocks = nn.Sequential(*(Block(32) for _ in range(3)))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def train(steps: int = 2) -> list[float]:
    """Train as a user would: a data loader, AMP with a scaler, an averaged copy, checkpointed blocks, a checkpoint on disk; return the losses."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, labels = torch.randn(BATCH * steps, 3, SIDE, SIDE), torch.randint(0, CLASSES, (BATCH * steps,))
    loader = DataLoader(TensorDataset(images, labels), batch_size=BATCH, pin_memory=True)
    model = Net().to(device).train()
    for block in model.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cuda")
    losses = []
    for image, label in loader:
        optimizer.zero_grad()
        image, label = image.to(device, non_blocking=True), label.cuda(non_blocking=True)
        with torch.autocast("cuda", torch.float16):
            loss = F.cross_entropy(model(image), label)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        update(average, model)
        losses.append(loss.item())
    torch.cuda.synchronize()
    return losses


@torch.no_grad()
def update(average: nn.Module, model: nn.Module) -> None:
    """Move the average towards the model."""
    current = model.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor *= 0.999
            tensor += 0.001 * current[name].detach()


def classifier() -> nn.Module:
    """Return the model alone."""
    return Net()
