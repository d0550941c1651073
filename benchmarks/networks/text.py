"""Language networks from transformers configurations."""

from __future__ import annotations

import torch
import transformers as tf
from torch import Tensor

from networks import Network, Size
from networks._adapt import (
    TEXT_AXES,
    Adapter,
    cached_network,
    seeded,
    text_feeds,
    text_network,
)

_VOCABULARY = 500
_ENCODER = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
}
_WITH_TYPES = ("input_ids", "attention_mask", "token_type_ids")


def bert() -> Network:
    model = seeded(tf.BertForMaskedLM, tf.BertConfig(**_ENCODER))
    return text_network(model, _VOCABULARY, "logits", inputs=_WITH_TYPES)


def bert_384() -> Network:
    config = tf.BertConfig(vocab_size=2000, num_hidden_layers=4)
    model = seeded(tf.BertModel, config)
    sizes = (Size(2, 128), Size(1, 384))
    return text_network(
        model, 2000, "last_hidden_state", "pooler_output", inputs=_WITH_TYPES, sizes=sizes
    )


def roberta() -> Network:
    model = seeded(tf.RobertaForSequenceClassification, tf.RobertaConfig(**_ENCODER))
    return text_network(model, _VOCABULARY, "logits")


def distilbert() -> Network:
    config = tf.DistilBertConfig(
        vocab_size=_VOCABULARY, dim=64, n_layers=3, n_heads=4, hidden_dim=128
    )
    return text_network(seeded(tf.DistilBertForTokenClassification, config), _VOCABULARY, "logits")


def albert() -> Network:
    config = tf.AlbertConfig(**_ENCODER, embedding_size=32)
    model = seeded(tf.AlbertForSequenceClassification, config)
    return text_network(model, _VOCABULARY, "logits", inputs=_WITH_TYPES)


def electra() -> Network:
    config = tf.ElectraConfig(**_ENCODER, embedding_size=32)
    model = seeded(tf.ElectraForPreTraining, config)
    return text_network(model, _VOCABULARY, "logits", inputs=_WITH_TYPES)


def deberta() -> Network:
    config = tf.DebertaV2Config(
        **_ENCODER,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
    )
    return text_network(seeded(tf.DebertaV2Model, config), _VOCABULARY, "last_hidden_state")


def mpnet() -> Network:
    return text_network(
        seeded(tf.MPNetModel, tf.MPNetConfig(**_ENCODER)), _VOCABULARY, "last_hidden_state"
    )


def gpt2_with_past() -> Network:
    config = tf.GPT2Config(vocab_size=_VOCABULARY, n_embd=64, n_layer=3, n_head=4, n_positions=64)
    return cached_network(seeded(tf.GPT2LMHeadModel, config), _VOCABULARY, 3, 4, 16)


def _llama_like(**options: object) -> dict[str, object]:
    return {**_ENCODER, "num_key_value_heads": 2, **options}


def llama() -> Network:
    model = seeded(tf.LlamaForCausalLM, tf.LlamaConfig(**_llama_like(use_cache=False)))
    return text_network(model, _VOCABULARY, "logits")


def llama_with_past() -> Network:
    model = seeded(tf.LlamaForCausalLM, tf.LlamaConfig(**_llama_like()))
    return cached_network(model, _VOCABULARY, 3, 2, 16)


def mistral() -> Network:
    config = tf.MistralConfig(**_llama_like(use_cache=False, sliding_window=8))
    return text_network(seeded(tf.MistralForCausalLM, config), _VOCABULARY, "logits")


def qwen2() -> Network:
    config = tf.Qwen2Config(**_llama_like(use_cache=False))
    return text_network(seeded(tf.Qwen2ForCausalLM, config), _VOCABULARY, "logits")


def gemma() -> Network:
    config = tf.GemmaConfig(**_llama_like(use_cache=False, head_dim=16))
    return text_network(seeded(tf.GemmaForCausalLM, config), _VOCABULARY, "logits")


def gpt_neox() -> Network:
    config = tf.GPTNeoXConfig(**_ENCODER, use_cache=False)
    return text_network(seeded(tf.GPTNeoXForCausalLM, config), _VOCABULARY, "logits")


def opt() -> Network:
    config = tf.OPTConfig(
        vocab_size=_VOCABULARY,
        hidden_size=64,
        word_embed_proj_dim=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        ffn_dim=128,
        max_position_embeddings=64,
        use_cache=False,
    )
    return text_network(seeded(tf.OPTForCausalLM, config), _VOCABULARY, "logits")


def bloom() -> Network:
    config = tf.BloomConfig(
        vocab_size=_VOCABULARY, hidden_size=64, n_layer=3, n_head=4, use_cache=False
    )
    return text_network(seeded(tf.BloomForCausalLM, config), _VOCABULARY, "logits")


_T5 = {
    "vocab_size": _VOCABULARY,
    "d_model": 64,
    "d_kv": 16,
    "d_ff": 128,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
    "use_cache": False,
}


def t5_encoder() -> Network:
    model = seeded(tf.T5EncoderModel, tf.T5Config(**_T5))
    return text_network(model, _VOCABULARY, "last_hidden_state")


def _encoder_decoder(model: torch.nn.Module) -> Network:
    inputs = ("input_ids", "attention_mask", "decoder_input_ids")

    def feeds(size: Size) -> dict[str, Tensor]:
        made = text_feeds(size, _VOCABULARY, inputs[:2])
        made["decoder_input_ids"] = torch.randint(5, _VOCABULARY, (size.batch, size.length - 5))
        return made

    return Network(
        Adapter(model, inputs, ["logits"]),
        feeds,
        ("logits",),
        {
            "input_ids": TEXT_AXES,
            "attention_mask": TEXT_AXES,
            "decoder_input_ids": {0: "batch", 1: "decoded"},
        },
    )


def t5() -> Network:
    return _encoder_decoder(seeded(tf.T5ForConditionalGeneration, tf.T5Config(**_T5)))


def _bart_like() -> dict[str, object]:
    return {
        "vocab_size": _VOCABULARY,
        "d_model": 64,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 128,
        "decoder_ffn_dim": 128,
        "max_position_embeddings": 64,
        "use_cache": False,
    }


def bart() -> Network:
    return _encoder_decoder(seeded(tf.BartForConditionalGeneration, tf.BartConfig(**_bart_like())))


def marian() -> Network:
    config = tf.MarianConfig(**_bart_like(), pad_token_id=0, decoder_start_token_id=1)
    return _encoder_decoder(seeded(tf.MarianMTModel, config))
