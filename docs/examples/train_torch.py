"""Train a small PyTorch network with flips, brightness and dropout; print a digest of its weights.

    python train_torch.py DATASET [center|random]

On one machine the same arguments end with the same weights. DATASET has labels, and holds crops of
64x64 or whole images: with centre crops, the same weights again.
"""

import hashlib
import sys

if __name__ == "__main__" and len(sys.argv) not in (2, 3):
    sys.exit(__doc__)

import torch
from torch import nn
from torch.utils.data import DataLoader

from tfrec_cli import determinism, read_torch

CROP, EPOCHS, SEED, WORKERS = 64, 10, 42, 2


def noise(image):
    """Disturb an image by a transform of our own, which draws from PyTorch's global generator."""
    return image + 0.02 * torch.randn_like(image)


def train(path, crop_mode="center"):
    """Return the digest of the weights, and the losses and accuracies of the epochs."""
    images = read_torch.dataset(
        path,
        crop=CROP,
        crop_mode=crop_mode,
        seed=SEED,
        flip=True,
        brightness=0.2,
        transform=noise,
    )
    if not images.num_classes:
        sys.exit(f"{path}: found no names of classes, expected a dataset with labels")
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32, images.num_classes),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses, accuracies = [], []
    for epoch in range(EPOCHS):
        images.set_epoch(epoch)
        loader = DataLoader(
            images,
            batch_size=8,
            sampler=read_torch.Order(images),
            num_workers=WORKERS,
            generator=determinism.generator(SEED, epoch),
            worker_init_fn=determinism.worker_init_fn,
        )
        loss_sum, right = 0.0, 0
        for image, label in loader:
            logits = model(image)
            loss = nn.functional.cross_entropy(logits, label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(label)
            right += (logits.argmax(1) == label).sum().item()
        losses.append(loss_sum / len(images))
        accuracies.append(right / len(images))
    weights = b"".join(weight.numpy().tobytes() for weight in model.state_dict().values())
    return hashlib.sha256(weights).hexdigest(), losses, accuracies


if __name__ == "__main__":
    print(determinism.seed_everything(SEED), file=sys.stderr)
    digest, losses, accuracies = train(*sys.argv[1:])
    print("loss    ", *(f"{loss:.2f}" for loss in losses))
    print("accuracy", *(f"{accuracy:.2f}" for accuracy in accuracies))
    print("weights ", digest)
