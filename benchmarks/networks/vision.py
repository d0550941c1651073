"""Vision networks from transformers configurations."""

from __future__ import annotations

import torch
import transformers as tf
from torch import Tensor

from networks import Network, Size
from networks._adapt import Adapter, image_network, seeded

_TRANSFORMER = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}


def resnet() -> Network:
    config = tf.ResNetConfig(
        embedding_size=16, hidden_sizes=[32, 64, 96, 128], depths=[2, 2, 2, 2], num_labels=10
    )
    return image_network(seeded(tf.ResNetForImageClassification, config), 64, "logits")


def resnet_free_size() -> Network:
    config = tf.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 2, 2, 1], layer_type="basic"
    )
    model = seeded(tf.ResNetModel, config)
    return Network(
        Adapter(model, ["pixel_values"], ["last_hidden_state", "pooler_output"]),
        lambda size: {"pixel_values": torch.randn(size.batch, 3, size.length, size.length)},
        ("last_hidden_state", "pooler_output"),
        {"pixel_values": {0: "batch", 2: "height", 3: "width"}},
        (Size(2, 64), Size(3, 96)),
    )


def mobilenet_v2() -> Network:
    config = tf.MobileNetV2Config(depth_multiplier=0.35, image_size=64, num_labels=10)
    return image_network(seeded(tf.MobileNetV2ForImageClassification, config), 64, "logits")


def mobilenet_v2_segmentation() -> Network:
    config = tf.MobileNetV2Config(depth_multiplier=0.35, image_size=64, num_labels=5)
    return image_network(seeded(tf.MobileNetV2ForSemanticSegmentation, config), 64, "logits")


def efficientnet_b0() -> Network:
    config = tf.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, image_size=224, hidden_dim=1280
    )
    model = seeded(tf.EfficientNetForImageClassification, config)
    return image_network(model, 224, "logits", sizes=(1, 2))


def regnet() -> Network:
    config = tf.RegNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 2, 2, 1], groups_width=8
    )
    return image_network(seeded(tf.RegNetForImageClassification, config), 64, "logits")


def convnext() -> Network:
    config = tf.ConvNextConfig(hidden_sizes=[32, 64, 96, 128], depths=[2, 2, 2, 2], image_size=64)
    return image_network(seeded(tf.ConvNextForImageClassification, config), 64, "logits")


def vit() -> Network:
    config = tf.ViTConfig(**_TRANSFORMER, image_size=64, patch_size=8)
    return image_network(seeded(tf.ViTForImageClassification, config), 64, "logits")


def deit() -> Network:
    config = tf.DeiTConfig(**_TRANSFORMER, image_size=64, patch_size=8)
    model = seeded(tf.DeiTForImageClassificationWithTeacher, config)
    return image_network(model, 64, "logits", "cls_logits")


def dinov2() -> Network:
    config = tf.Dinov2Config(
        hidden_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14
    )
    return image_network(seeded(tf.Dinov2Model, config), 56, "last_hidden_state")


def swin_tiny() -> Network:
    model = seeded(tf.SwinForImageClassification, tf.SwinConfig())
    return image_network(model, 224, "logits", sizes=(2, 1))


def swinv2() -> Network:
    config = tf.Swinv2Config(
        image_size=64, embed_dim=32, depths=[2, 2], num_heads=[2, 4], window_size=4
    )
    return image_network(seeded(tf.Swinv2ForImageClassification, config), 64, "logits")


def beit() -> Network:
    config = tf.BeitConfig(
        **_TRANSFORMER,
        image_size=64,
        patch_size=8,
        use_relative_position_bias=True,
        layer_scale_init_value=0.1,
    )
    return image_network(seeded(tf.BeitForImageClassification, config), 64, "logits")


def segformer() -> Network:
    config = tf.SegformerConfig(
        depths=[1, 2, 2, 1],
        hidden_sizes=[16, 32, 64, 96],
        num_attention_heads=[1, 2, 4, 6],
        decoder_hidden_size=64,
        num_labels=5,
    )
    return image_network(seeded(tf.SegformerForSemanticSegmentation, config), 64, "logits")


def detr() -> Network:
    backbone = tf.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        out_features=["stage4"],
    )
    config = tf.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        num_queries=20,
        num_labels=10,
    )
    model = seeded(tf.DetrForObjectDetection, config)

    def feeds(size: Size) -> dict[str, Tensor]:
        mask = torch.ones(size.batch, 64, 64, dtype=torch.int64)
        mask[0, :, 48:] = 0
        return {"pixel_values": torch.randn(size.batch, 3, 64, 64), "pixel_mask": mask}

    outputs = ("logits", "pred_boxes")
    return Network(
        Adapter(model, ["pixel_values", "pixel_mask"], outputs),
        feeds,
        outputs,
        {"pixel_values": {0: "batch"}, "pixel_mask": {0: "batch"}},
    )


def yolos() -> Network:
    config = tf.YolosConfig(
        **_TRANSFORMER, image_size=[64, 64], patch_size=8, num_detection_tokens=10
    )
    return image_network(seeded(tf.YolosForObjectDetection, config), 64, "logits", "pred_boxes")


def mobilevit() -> Network:
    config = tf.MobileViTConfig(
        image_size=64,
        patch_size=2,
        hidden_sizes=[32, 48, 64],
        neck_hidden_sizes=[8, 16, 24, 32, 40, 48, 64],
    )
    return image_network(seeded(tf.MobileViTForImageClassification, config), 64, "logits")


def clip() -> Network:
    text = {**_TRANSFORMER, "vocab_size": 400, "max_position_embeddings": 40, "eos_token_id": 2}
    vision = {**_TRANSFORMER, "image_size": 64, "patch_size": 16}
    config = tf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)
    model = seeded(tf.CLIPModel, config)
    inputs = ("input_ids", "pixel_values", "attention_mask")
    outputs = ("logits_per_image", "text_embeds", "image_embeds")

    def feeds(size: Size) -> dict[str, Tensor]:
        return {
            "input_ids": torch.randint(5, 400, size),
            "pixel_values": torch.randn(size.batch, 3, 64, 64),
            "attention_mask": torch.ones(size, dtype=torch.int64),
        }

    axes = {0: "batch", 1: "sequence"}
    return Network(
        Adapter(model, inputs, outputs),
        feeds,
        outputs,
        {"input_ids": axes, "attention_mask": axes, "pixel_values": {0: "images"}},
    )
