"""Hand-written modules: what transformers has no configuration for."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import Tensor, nn

from networks import Network, Size, randomize


def _image(module: nn.Module, sizes: tuple[Size, Size], *, free: bool = False) -> Network:
    torch.manual_seed(0)
    axes = {0: "batch", 2: "height", 3: "width"} if free else {0: "batch"}
    return Network(
        randomize(module),
        lambda size: {"image": torch.randn(size.batch, 3, size.length, size.length)},
        ("result",),
        {"image": axes},
        sizes,
    )


def _unit(
    inside: int, outside: int, kernel: int = 3, groups: int = 1, stride: int = 1
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class _UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([_unit(3, 16), _unit(16, 32), _unit(32, 64)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(64, 32, 2, 2), nn.Upsample(scale_factor=2.0)])
        self.join = nn.ModuleList([_unit(64, 32), _unit(48, 16)])
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        first = self.down[0](tensors[0])
        second = self.down[1](F.max_pool2d(first, 2))
        x = self.down[2](F.max_pool2d(second, 2))
        x = self.join[0](torch.cat([self.up[0](x), second], 1))
        x = self.join[1](torch.cat([self.up[1](x), first], 1))
        return (self.head(x).sigmoid(),)


def unet() -> Network:
    return _image(_UNet(), (Size(2, 32), Size(3, 48)), free=True)


class _DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(16 + 8 * i), nn.ReLU(), nn.Conv2d(16 + 8 * i, 8, 3, padding=1)
            )
            for i in range(6)
        )
        self.norm, self.head = nn.BatchNorm2d(64), nn.Linear(64, 10)

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        x = self.stem(tensors[0])
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return (self.head(F.relu(self.norm(x)).mean((2, 3))),)


def densenet() -> Network:
    return _image(_DenseNet(), (Size(2, 32), Size(3, 32)))


class _ShuffleNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = _unit(3, 32, stride=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(_unit(16, 16, 1), _unit(16, 16, 3, groups=16), _unit(16, 16, 1))
            for _ in range(4)
        )
        self.head = nn.Linear(32, 10)

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        x = self.stem(tensors[0])
        for block in self.blocks:
            kept, changed = x.chunk(2, 1)
            x = torch.cat([kept, block(changed)], 1)
            count, channels, height, width = x.shape
            x = x.view(count, 2, channels // 2, height, width).transpose(1, 2)
            x = x.reshape(count, channels, height, width)
        return (self.head(x.mean((2, 3))),)


def shufflenet() -> Network:
    return _image(_ShuffleNet(), (Size(2, 32), Size(3, 32)))


class _Vgg(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _unit(3, 16), nn.MaxPool2d(2), _unit(16, 32), nn.MaxPool2d(2), nn.Dropout(0.5)
        )
        self.head = nn.Sequential(nn.Linear(32 * 64, 64), nn.BatchNorm1d(64), nn.Linear(64, 10))

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        return (F.log_softmax(self.head(self.body(tensors[0]).flatten(1)), -1),)


def vgg() -> Network:
    return _image(_Vgg(), (Size(2, 32), Size(3, 32)))


def _recurrent(module: nn.Module) -> Network:
    return Network(
        randomize(module),
        lambda size: {"sequence": torch.randn(size.batch, size.length, 24)},
        ("result",),
        {"sequence": {0: "batch", 1: "steps"}},
    )


class _Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], *, both: bool) -> None:
        super().__init__()
        self.cells = kind(24, 32, num_layers=2, batch_first=True, bidirectional=both)
        self.head = nn.Linear(64 if both else 32, 10)

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        found, _ = self.cells(tensors[0])
        return (self.head(found),)


def lstm() -> Network:
    torch.manual_seed(0)
    return _recurrent(_Recurrent(nn.LSTM, both=True))


def gru() -> Network:
    torch.manual_seed(0)
    return _recurrent(_Recurrent(nn.GRU, both=False))


class _Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(24, 32) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        x = tensors[0]
        query, key, value = (p(x).unflatten(-1, (4, 8)) for p in self.project)
        scores = torch.einsum("bqhd,bkhd->bhqk", query, key) / 8**0.5
        mixed = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), value)
        return (self.head(self.norm(mixed.flatten(-2))),)


def attention_einsum() -> Network:
    torch.manual_seed(0)
    return _recurrent(_Einsum())
