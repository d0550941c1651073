"""Audio networks from transformers configurations."""

from __future__ import annotations

import torch
import transformers as tf
from torch import Tensor, nn

from networks import Network, Size
from networks._adapt import Adapter, seeded

_WHISPER = {
    "vocab_size": 300,
    "num_mel_bins": 20,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_source_positions": 50,
    "max_target_positions": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
}


class _WhisperDecoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.decoder, self.head = model.model.decoder, model.proj_out

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        ids, states = tensors
        found = self.decoder(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=states,
            use_cache=False,
        )
        return (self.head(found.last_hidden_state),)


def whisper_encoder() -> Network:
    model = seeded(tf.WhisperForConditionalGeneration, tf.WhisperConfig(**_WHISPER))
    return Network(
        Adapter(model.model.encoder, ["input_features"], ["last_hidden_state"]),
        lambda size: {"input_features": torch.randn(size.batch, 20, 100)},
        ("last_hidden_state",),
        {"input_features": {0: "batch"}},
    )


def whisper_decoder() -> Network:
    model = seeded(tf.WhisperForConditionalGeneration, tf.WhisperConfig(**_WHISPER))

    def feeds(size: Size) -> dict[str, Tensor]:
        return {
            "decoder_input_ids": torch.randint(5, 300, size),
            "encoder_hidden_states": torch.randn(size.batch, 50, 64),
        }

    return Network(
        _WhisperDecoder(model),
        feeds,
        ("logits",),
        {"decoder_input_ids": {0: "batch", 1: "decoded"}, "encoder_hidden_states": {0: "batch"}},
    )


def _speech(model: nn.Module) -> Network:
    return Network(
        Adapter(model, ["input_values"], ["logits"]),
        lambda size: {"input_values": torch.randn(size.batch, size.length)},
        ("logits",),
        {"input_values": {0: "batch", 1: "samples"}},
        (Size(2, 1600), Size(3, 2400)),
    )


_SPEECH = {
    "vocab_size": 32,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "conv_dim": [32, 32, 32],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 2, 2],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def wav2vec2() -> Network:
    return _speech(seeded(tf.Wav2Vec2ForCTC, tf.Wav2Vec2Config(**_SPEECH)))


def hubert() -> Network:
    return _speech(seeded(tf.HubertForCTC, tf.HubertConfig(**_SPEECH)))


def audio_spectrogram() -> Network:
    config = tf.ASTConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_length=64,
        num_mel_bins=32,
    )
    model = seeded(tf.ASTForAudioClassification, config)
    return Network(
        Adapter(model, ["input_values"], ["logits"]),
        lambda size: {"input_values": torch.randn(size.batch, 64, 32)},
        ("logits",),
        {"input_values": {0: "batch"}},
    )
