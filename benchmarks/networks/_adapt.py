"""Transformers models as modules of plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from networks import Network, Size, randomize


class Adapter(nn.Module):
    """Calls a transformers model with named tensors and returns the named outputs."""

    def __init__(self, model: nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, list(inputs), list(outputs)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        result = self.model(**dict(zip(self.inputs, tensors, strict=True)))
        return tuple(result[name] for name in self.outputs)


class CachedAdapter(nn.Module):
    """A decoder whose past keys and values come as inputs and go as outputs."""

    def __init__(self, model: nn.Module, layers: int) -> None:
        super().__init__()
        self.model, self.layers = model, layers

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        input_ids, attention_mask, *past = tensors
        cache = DynamicCache([(past[2 * i], past[2 * i + 1]) for i in range(self.layers)])
        result = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=True,
        )
        present = [t for layer in result.past_key_values.layers for t in (layer.keys, layer.values)]
        return (result.logits, *present)


def seeded(model_class: Callable[[Any], nn.Module], config: object) -> nn.Module:
    """Return the model of a configuration with seeded random weights."""
    torch.manual_seed(0)
    return randomize(model_class(config))


def image_network(
    model: nn.Module, side: int, *outputs: str, sizes: tuple[int, int] = (2, 3)
) -> Network:
    """Pixels of one fixed side in, batch free."""

    def feeds(size: Size) -> dict[str, Tensor]:
        return {"pixel_values": torch.randn(size.batch, 3, side, side)}

    return Network(
        Adapter(model, ["pixel_values"], outputs),
        feeds,
        outputs,
        {"pixel_values": {0: "batch"}},
        (Size(sizes[0], side), Size(sizes[1], side)),
    )


TEXT_AXES = {0: "batch", 1: "sequence"}


def text_feeds(size: Size, vocabulary: int, names: Sequence[str]) -> dict[str, Tensor]:
    """Token ids and, where named, a mask with padding on the right and token types."""
    made = {
        "input_ids": torch.randint(5, vocabulary, size),
        "attention_mask": torch.ones(size, dtype=torch.int64),
        "token_type_ids": torch.zeros(size, dtype=torch.int64),
    }
    made["attention_mask"][0, size.length - 2 :] = 0
    made["token_type_ids"][:, size.length // 2 :] = 1
    return {name: made[name] for name in names}


def text_network(
    model: nn.Module,
    vocabulary: int,
    *outputs: str,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    sizes: tuple[Size, Size] = (Size(2, 12), Size(3, 19)),
) -> Network:
    """Tokens in; batch and sequence free."""
    return Network(
        Adapter(model, inputs, outputs),
        lambda size: text_feeds(size, vocabulary, inputs),
        outputs,
        dict.fromkeys(inputs, TEXT_AXES),
        sizes,
    )


def cached_network(
    model: nn.Module, vocabulary: int, layers: int, heads: int, width: int
) -> Network:
    """Take one step of a decoder: ``length`` tokens of past, three new ones."""

    def feeds(size: Size) -> dict[str, Tensor]:
        made = {
            "input_ids": torch.randint(5, vocabulary, (size.batch, 3)),
            "attention_mask": torch.ones(size.batch, size.length + 3, dtype=torch.int64),
        }
        made["attention_mask"][0, :2] = 0
        for layer in range(layers):
            for part in ("key", "value"):
                made[f"past.{layer}.{part}"] = torch.randn(size.batch, heads, size.length, width)
        return made

    past = [f"past.{i}.{part}" for i in range(layers) for part in ("key", "value")]
    return Network(
        CachedAdapter(model, layers),
        feeds,
        ("logits", *(name.replace("past", "present") for name in past)),
        {
            "input_ids": {0: "batch"},
            "attention_mask": {0: "batch", 1: "total"},
            **{name: {0: "batch", 2: "past"} for name in past},
        },
    )
