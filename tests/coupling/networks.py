"""Small networks, one for each way in which dimensions are coupled. They need torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional


class Network(NamedTuple):
    """A module, what it is fed, and how many units its groups have."""

    make: Callable[[], Any]
    feeds: Callable[[], Any]
    units: set[int]


class Residual(nn.Module):  # type: ignore[misc]
    """Two blocks with a shortcut, pooled and classified."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.a, self.norm = nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.b, self.last = nn.Conv2d(12, 8, 3, padding=1), nn.Linear(8 * 4, 5)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.stem(x))
        x = x + self.b(torch.relu(self.norm(self.a(x))))
        return self.last(functional.adaptive_avg_pool2d(x, 2).flatten(1))


class Fire(nn.Module):  # type: ignore[misc]
    """Two convolutions side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.one = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1)
        self.three, self.last = nn.Conv2d(6, 7, 3, padding=1), nn.Conv2d(12, 4, 1)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.squeeze(x))
        x = torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)
        return self.last(x).mean((2, 3))


class Inverted(nn.Module):  # type: ignore[misc]
    """Expanded, a depthwise convolution, squeezed and excited, projected."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.deep = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.down, self.up = nn.Conv2d(12, 5, 1), nn.Conv2d(5, 12, 1)
        self.project = nn.Conv2d(12, 4, 1)

    def forward(self, x: Any) -> Any:
        x = functional.hardswish(self.deep(functional.hardswish(self.expand(x))))
        weight = self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True))))
        return self.project(x * torch.sigmoid(weight))


class Grouped(nn.Module):  # type: ignore[misc]
    """Convolutions of few wide groups, of many narrow ones, and a slope a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 24, 3, padding=1, groups=2)
        self.slope, self.c = nn.PReLU(24), nn.Conv2d(24, 24, 3, padding=1, groups=6)
        self.last = nn.Conv2d(24, 4, 1)

    def forward(self, x: Any) -> Any:
        return self.last(self.c(self.slope(self.b(self.a(x)))))


class Decoder(nn.Module):  # type: ignore[misc]
    """Down, up by a transposed convolution beside a resize, joined; up again by a shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.GroupNorm(4, 8)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.mix, self.pixels = nn.Conv2d(17, 20, 1), nn.Conv2d(5, 2, 1)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.norm(self.down(x)))
        wide = functional.interpolate(y, scale_factor=2.0, mode="nearest")
        y = torch.cat([self.up(y), wide, x], 1)
        return self.pixels(functional.pixel_shuffle(self.mix(y), 2))


class Shuffled(nn.Module):  # type: ignore[misc]
    """Channels in two halves, one convolved, joined and shuffled, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 4, 1)
        self.parts = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1) for _ in range(2))

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for part in self.parts:
            kept, taken = x.chunk(2, 1)
            x = torch.cat([kept, torch.relu(part(taken))], 1)
            x = x.view(-1, 2, 6, 8, 8).transpose(1, 2).reshape(-1, 12, 8, 8)
        return self.last(x)


class Encoder(nn.Module):  # type: ignore[misc]
    """Packed attention over an embedding, and a feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 24)
        self.mix, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
        self.norm, self.wide, self.narrow = nn.LayerNorm(24), nn.Linear(24, 32), nn.Linear(32, 24)
        self.last = nn.Linear(24, 5)

    def forward(self, ids: Any) -> Any:
        x = self.table(ids)
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, 3, 8).transpose(1, 2) for part in self.mix(x).chunk(3, dim=-1)
        )
        y = torch.softmax(q @ k.transpose(2, 3) / 8**0.5, -1) @ v
        x = self.norm(x + self.out(y.transpose(1, 2).reshape(batch, length, 24)))
        return self.last(x + self.narrow(functional.gelu(self.wide(x))))


class Llama(nn.Module):  # type: ignore[misc]
    """Rotated queries of 6 heads over 3 of keys, and a gated feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 20)
        self.q, self.k, self.v = (nn.Linear(20, n * 8, bias=False) for n in (6, 3, 3))
        self.out, self.gate, self.up = nn.Linear(48, 20), nn.Linear(20, 28), nn.Linear(20, 28)
        self.scale, self.down = nn.Parameter(torch.rand(20)), nn.Linear(28, 20)
        self.last = nn.Linear(20, 7)

    def forward(self, ids: Any) -> Any:
        x = self.table(ids)
        batch, length, _ = x.shape
        angle = torch.arange(length)[:, None] * 0.5 ** torch.arange(4)
        y = self._normal(x)
        q, k = (self._turned(made(y), angle) for made in (self.q, self.k))
        v = self.v(y).view(batch, length, 3, 8).transpose(1, 2)
        k, v = (
            part[:, :, None].expand(-1, -1, 2, -1, -1).reshape(batch, 6, length, 8)
            for part in (k, v)
        )
        y = torch.softmax(q @ k.transpose(2, 3) / 8**0.5, -1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, 48))
        y = self._normal(x)
        return self.last(x + self.down(functional.silu(self.gate(y)) * self.up(y)))

    def _normal(self, x: Any) -> Any:
        return self.scale * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)

    def _turned(self, x: Any, angle: Any) -> Any:
        x = x.view(x.shape[0], x.shape[1], -1, 8).transpose(1, 2)
        one, other = x[..., :4], x[..., 4:]
        return torch.cat(
            [one * angle.cos() - other * angle.sin(), other * angle.cos() + one * angle.sin()], -1
        )


class Multihead(nn.Module):  # type: ignore[misc]
    """Attention as torch's own module computes it: heads beside the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 24), nn.Linear(24, 3)
        self.heads = nn.MultiheadAttention(24, 3, batch_first=True)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        return self.last(x + self.heads(x, x, x)[0])


class Recurrent(nn.Module):  # type: ignore[misc]
    """An LSTM of two directions, a GRU, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.long, self.short = nn.LSTM(5, 7, batch_first=True, bidirectional=True), nn.GRU(14, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        x = self.short(self.long(x)[0].transpose(0, 1))[0]
        return self.last(x[-1])


class Windows(nn.Module):  # type: ignore[misc]
    """Attention inside windows of 2 x 2, with a bias for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 12, 1), nn.Linear(12, 4)
        self.out = nn.Linear(12, 12)
        self.mix, self.bias = nn.Linear(12, 36), nn.Parameter(torch.randn(9, 3))
        self.register_buffer("index", torch.randint(9, (4, 4)))

    def forward(self, x: Any) -> Any:
        x = self.stem(x).permute(0, 2, 3, 1)
        x = x.view(-1, 4, 2, 4, 2, 12).transpose(2, 3).reshape(-1, 4, 12)
        q, k, v = self.mix(x).reshape(-1, 4, 3, 3, 4).permute(2, 0, 3, 1, 4)
        bias = self.bias[self.index.view(-1)].view(4, 4, 3).permute(2, 0, 1)
        y = torch.softmax(q @ k.transpose(2, 3) + bias, -1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(-1, 4, 12))
        return self.last(torch.relu(x).mean(1))


def images() -> Any:
    return torch.randn(2, 3, 8, 8)


def tokens() -> Any:
    return torch.randint(50, (2, 9))


def sequences() -> Any:
    return torch.randn(2, 6, 5)


NETWORKS = {
    "residual": Network(Residual, images, {8, 12}),
    "fire": Network(Fire, images, {5, 6, 7}),
    "inverted": Network(Inverted, images, {5, 12}),
    "grouped": Network(Grouped, images, {8, 3}),
    "decoder": Network(Decoder, images, {4, 5, 6}),
    "shuffled": Network(Shuffled, images, {3, 6}),
    "encoder": Network(Encoder, tokens, {3, 24, 32}),
    "llama": Network(Llama, tokens, {3, 20, 28}),
    "multihead": Network(Multihead, sequences, {3, 24}),
    "recurrent": Network(Recurrent, sequences, {6, 7}),
    "windows": Network(Windows, images, {3, 12}),
}
