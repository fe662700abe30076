"""One small member of each of forty families of timm."""

from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.coverage.operators import declare_operators
from benchmarks.coverage.subject import Inputs, Subject

__all__ = ["list_timm"]

# Length and height of an image: what the name demands, else the smallest at which the family has several positions.
_SIZES = {
    "resnetv2_50": 64, "convnextv2_atto": 64, "efficientnet_lite0": 64, "mobilenetv4_conv_small": 64,
    "ghostnet_100": 64, "dpn48b": 64, "dla46_c": 64, "hrnet_w18_small": 64, "xception41": 96, "inception_v4": 160,
    "rexnet_100": 64, "selecsls42": 64, "skresnet18": 64, "res2net50_48w_2s": 64, "resnest14d": 64, "cspresnet50": 64,
    "darknet53": 64, "ese_vovnet19b_slim": 64, "repvgg_a0": 64, "mobileone_s0": 64, "eca_nfnet_l0": 64,
    "hgnetv2_b0": 64, "fastvit_t8": 256, "efficientvit_b0": 224, "edgenext_xx_small": 256, "levit_128s": 224,
    "deit_tiny_patch16_224": 224, "cait_xxs24_224": 224, "coat_tiny": 224, "convit_tiny": 224,
    "convmixer_768_32": 64, "mixer_s32_224": 224, "gmlp_s16_224": 224, "resmlp_12_224": 224, "pit_ti_224": 224,
    "poolformer_s12": 64, "pvt_v2_b0": 224, "twins_svt_small": 224, "xcit_nano_12_p16_224": 224, "tiny_vit_5m_224": 224,
}  # fmt: skip


def list_timm() -> list[Subject]:
    """Return the subjects of timm."""
    return [Subject(zoo="timm", name=name, build=partial(_build, name, size)) for name, size in _SIZES.items()]


def _build(name: str, size: int) -> tuple[nn.Module, Inputs]:
    declare_operators()
    import timm

    net: Any = timm.create_model(name, pretrained=False)
    return net, (torch.randn(2, 3, size, size),)
