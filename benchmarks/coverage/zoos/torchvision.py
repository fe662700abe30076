"""The builders of torchvision: classification of images and videos, segmentation, backbones of detectors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.coverage.operators import declare_operators
from benchmarks.coverage.subject import Inputs, Subject

__all__ = ["list_torchvision"]

# Length and height of an image, by the first letters of the name; the longest that fit decide.
_SIZES = {"": 64, "inception": 96, "swin_t": 224, "swin_s": 224, "swin_b": 224, "swin_v2": 256, "maxvit": 224}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "vit_b": {"image_size": 64},
    "vit_l": {"image_size": 64},
    "vit_h": {"image_size": 56},
    # Their auxiliary heads are no part of the network in evaluation mode.
    "inception": {"init_weights": True, "aux_logits": False},
    "googlenet": {"init_weights": True, "aux_logits": False},
}
# Frames, height and width of a video.
_CLIPS = {"mvit": (16, 224, 224), "swin3d": (8, 64, 64), "s3d": (16, 224, 224), "": (8, 32, 32)}

_IMAGES = (
    "alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny", "densenet121", "densenet161",
    "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l",
    "efficientnet_v2_m", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mnasnet0_75",
    "mnasnet1_0", "mnasnet1_3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_16gf",
    "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_8gf",
    "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf",
    "regnet_y_800mf", "regnet_y_8gf", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
    "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0", "squeezenet1_1", "swin_b", "swin_s", "swin_t",
    "swin_v2_b", "swin_v2_s", "swin_v2_t", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19",
    "vgg19_bn", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2", "wide_resnet50_2",
)  # fmt: skip
_VIDEOS = (
    "mc3_18", "mvit_v1_b", "mvit_v2_s", "r2plus1d_18", "r3d_18", "s3d", "swin3d_b", "swin3d_s", "swin3d_t",
)  # fmt: skip
_SEGMENTERS = (
    "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet101", "deeplabv3_resnet50", "fcn_resnet101", "fcn_resnet50",
    "lraspp_mobilenet_v3_large",
)  # fmt: skip
_DETECTORS = (
    "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2", "fcos_resnet50_fpn", "keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2", "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2", "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
)  # fmt: skip
# More than 300 million parameters.
_LARGE = {"regnet_y_128gf", "vit_h_14", "vit_l_16", "vit_l_32"}


def list_torchvision() -> list[Subject]:
    """Return the subjects of torchvision."""
    makers: tuple[tuple[tuple[str, ...], Callable[[str], tuple[nn.Module, Inputs]]], ...] = (
        (_IMAGES, _build_for_images),
        (_SEGMENTERS, _build_segmenter),
        (_DETECTORS, _build_backbone),
        (_VIDEOS, _build_for_videos),
    )
    return [
        Subject(zoo="torchvision", name=name, build=partial(maker, name), on_meta=name in _LARGE)
        for names, maker in makers
        for name in names
    ]


def _build_for_images(name: str) -> tuple[nn.Module, Inputs]:
    arguments = _longest(_ARGUMENTS, name) or {}
    size = arguments.get("image_size", _longest(_SIZES, name))
    return _build(name, **arguments), (torch.randn(2, 3, size, size),)


def _build_segmenter(name: str) -> tuple[nn.Module, Inputs]:
    return _build(name, weights_backbone=None), (torch.randn(2, 3, 64, 64),)


def _build_backbone(name: str) -> tuple[nn.Module, Inputs]:
    size = 320 if name.startswith("ssd") else 128
    return _build(name, weights_backbone=None).backbone, (torch.randn(2, 3, size, size),)


def _build_for_videos(name: str) -> tuple[nn.Module, Inputs]:
    return _build(name), (torch.randn(2, 3, *_longest(_CLIPS, name)),)


def _build(name: str, **arguments: Any) -> Any:  # noqa: ANN401 detectors have a backbone, which modules do not
    declare_operators()
    import torchvision

    return torchvision.models.get_model(name, weights=None, **arguments)


def _longest(table: dict[str, Any], name: str) -> Any:  # noqa: ANN401 whatever the table holds
    found = max((start for start in table if name.startswith(start)), key=len, default=None)
    return None if found is None else table[found]
