"""Train the demo model: a small convolutional network that reads handwritten digits.

The data are the 1,797 images of 8 x 8 pixels that scikit-learn bundles; 360 of them are kept for
testing. The network is built as the mobile networks are: inverted bottlenecks with batch
normalization, explicit zero padding before every depthwise convolution, squeeze-and-excitation,
residual additions. It is exported as training left it, with nothing folded, so that an optimizer
finds what it finds in exports from the field.

    pip install torch scikit-learn onnx
    python examples/train_digits.py

Writes digits.onnx (input ``image``, float [batch, 1, 8, 8], pixels from 0 to 16; output ``scores``,
float [batch, 10]) and digits_samples/, 48 test images with their labels, one a file, beside this
script. Seeded: the same versions on the same machine write the same weights again. It takes about
three minutes on two cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

HERE = Path(__file__).parent
EPOCHS = 40
SAMPLES = 48


class SqueezeExcite(nn.Module):
    """Scale every channel by a factor between 0 and 1 computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 8, 1)
        self.expand = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(means))))


class Bottleneck(nn.Module):
    """Expand by a 1 x 1 convolution, filter each channel, project back; add where it fits."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        wide = channels * expansion
        self.body = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.ZeroPad2d((1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1)),
            nn.Conv2d(wide, wide, 3, stride, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            SqueezeExcite(wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.Dropout(0.05),
        )
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class DigitNet(nn.Module):
    """Pixels [batch, 1, 8, 8] in 0 … 16 to scores [batch, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(1, 24, 3, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
        )
        self.body = nn.Sequential(
            Bottleneck(24, 24, 1),
            Bottleneck(24, 24, 1),
            Bottleneck(24, 40, 2),
            Bottleneck(40, 40, 1),
            Bottleneck(40, 40, 1),
        )
        self.head = nn.Sequential(nn.Conv2d(40, 96, 1), nn.BatchNorm2d(96), nn.ReLU())
        self.classify = nn.Sequential(nn.Dropout(0.2), nn.Linear(96, 10))

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.head(self.body(self.stem(image / 16 - 0.5)))
        features = nn.functional.adaptive_avg_pool2d(features, 1)
        scores: Tensor = self.classify(features.view(features.size(0), -1))
        return scores


class Split(NamedTuple):
    """Images float32 [n, 1, 8, 8] and labels int64 [n]."""

    images: Tensor
    labels: Tensor


def load() -> tuple[Split, Split]:
    """Return what to train on and what to test on."""
    digits = load_digits()
    images = digits.images.astype(np.float32)[:, None]
    split = train_test_split(
        images,
        digits.target.astype(np.int64),
        test_size=360,
        random_state=0,
        stratify=digits.target,
    )
    train_x, test_x, train_y, test_y = (torch.from_numpy(part) for part in split)
    return Split(train_x, train_y), Split(test_x, test_y)


def shifted(images: Tensor) -> Tensor:
    """Move each image by at most one pixel in each direction."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    corners = torch.randint(0, 3, (len(images), 2)).tolist()
    return torch.stack(
        [image[:, y : y + 8, x : x + 8] for image, (y, x) in zip(padded, corners, strict=True)]
    )


def train(model: nn.Module, data: Split) -> None:
    """Train with AdamW and one cycle of the learning rate."""
    batches = -(-len(data.labels) // 64)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, EPOCHS * batches)
    model.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(data.labels)).split(64):
            optimizer.zero_grad()
            scores = model(shifted(data.images[rows]))
            nn.functional.cross_entropy(scores, data.labels[rows], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    model.eval()


def export(model: nn.Module, path: Path) -> None:
    """Write the model as it stands: no folding, batch normalizations kept, batch axis free."""
    torch.onnx.export(
        model,
        (torch.zeros(1, 1, 8, 8),),
        path,
        dynamo=False,
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}},
    )


def write_samples(data: Split, folder: Path) -> None:
    """Write the first test images, one a file, as the model is fed them, each with its label."""
    folder.mkdir(exist_ok=True)
    for index in range(SAMPLES):
        image, label = data.images[index : index + 1], data.labels[index : index + 1]
        np.savez(folder / f"{index:02}.npz", image=image.numpy(), label=label.numpy())


def main() -> None:
    """Train, report the accuracy on the test images, write the model and the samples."""
    torch.manual_seed(0)
    train_data, test_data = load()
    model = DigitNet()
    train(model, train_data)
    with torch.inference_mode():
        right = (model(test_data.images).argmax(1) == test_data.labels).sum().item()
    print(f"test accuracy {right / len(test_data.labels):.2%} of {len(test_data.labels)} images")
    export(model, HERE / "digits.onnx")
    write_samples(test_data, HERE / "digits_samples")


if __name__ == "__main__":
    main()
