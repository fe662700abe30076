"""Architectures of Hugging Face transformers, each at random initial values from a small configuration.

They are those with a task's head, so that the residual stream is no output. Where a network yields hidden states beside
the logits, the logits alone are asked for.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.coverage.operators import declare_operators
from benchmarks.coverage.subject import Inputs, Only, Subject

__all__ = ["list_transformers"]

_VOCABULARY, _LENGTH, _IMAGE = 96, 12, 32
_COMMON: dict[str, Any] = {"vocab_size": _VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_BLOCKS = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
_GROUPED = _BLOCKS | {"num_key_value_heads": 2, "head_dim": 16}
_PICTURE = _BLOCKS | {"image_size": _IMAGE, "patch_size": 8}
_SPEECH = _BLOCKS | {
    "conv_dim": (32, 32),
    "conv_kernel": (10, 3),
    "conv_stride": (5, 2),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
_PAIR: dict[str, Any] = {
    "text_config": _BLOCKS | _COMMON | {"max_position_embeddings": 32},
    "vision_config": _PICTURE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Architecture:
    """A class of networks, that of its configuration, what is set there, and the inputs that it takes."""

    net: str
    config: str
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("tokens",)
    only: str | None = None


def _classifier(family: str, settings: dict[str, Any]) -> _Architecture:
    return _Architecture(
        net=f"{family}ForSequenceClassification", config=f"{family}Config", settings=_COMMON | settings
    )


def _decoder(family: str, settings: dict[str, Any], *, head: str = "ForCausalLM") -> _Architecture:
    return _Architecture(
        net=f"{family}{head}", config=f"{family}Config", settings=_COMMON | {"use_cache": False} | settings
    )


def _translator(family: str, settings: dict[str, Any]) -> _Architecture:
    settings = _COMMON | {"use_cache": False, "decoder_start_token_id": 1} | settings
    return _Architecture(
        net=f"{family}ForConditionalGeneration",
        config=f"{family}Config",
        settings=settings,
        inputs=("tokens", "decoder_tokens"),
        only="logits",
    )


def _painter(family: str, settings: dict[str, Any], *, head: str = "ForImageClassification") -> _Architecture:
    return _Architecture(net=f"{family}{head}", config=f"{family}Config", settings=settings, inputs=("image",))


_HALVES = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
_ENCODER_DECODER = _HALVES | {"d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
_EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}

_ARCHITECTURES = {
    "BERT": _classifier("Bert", _BLOCKS),
    "RoBERTa": _classifier("Roberta", _BLOCKS),
    "DistilBERT": _classifier("DistilBert", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}),
    "ALBERT": _classifier("Albert", _BLOCKS | {"embedding_size": 32}),
    "ELECTRA": _classifier("Electra", _BLOCKS | {"embedding_size": 32}),
    "DeBERTa v2": _classifier(
        "DebertaV2", _BLOCKS | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
    ),
    "ModernBERT": _classifier("ModernBert", _BLOCKS | {"cls_token_id": 1, "sep_token_id": 2}),
    "GPT-2": _decoder("GPT2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32}, head="LMHeadModel"),
    "Llama": _decoder("Llama", _GROUPED),
    "Mistral": _decoder("Mistral", _GROUPED | {"sliding_window": 8}),
    "Qwen2": _decoder("Qwen2", _GROUPED),
    "Gemma 2": _decoder("Gemma2", _GROUPED | {"query_pre_attn_scalar": 16}),
    "OPT": _decoder("OPT", _BLOCKS | {"ffn_dim": 128, "word_embed_proj_dim": 64, "max_position_embeddings": 32}),
    "Phi": _decoder("Phi", _BLOCKS),
    "GPT-NeoX": _decoder("GPTNeoX", _BLOCKS),
    "BLOOM": _decoder("Bloom", {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "Falcon": _decoder("Falcon", _BLOCKS),
    "T5": _translator("T5", {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}),
    "BART": _translator("Bart", _ENCODER_DECODER | {"max_position_embeddings": 32}),
    "ViT": _painter("ViT", _PICTURE),
    "DINOv2": _painter("Dinov2", _PICTURE),
    "ConvNeXt v2": _painter("ConvNextV2", {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1]}),
    "SegFormer": _painter(
        "Segformer",
        {"hidden_sizes": [16, 32, 48, 64], "depths": [1] * 4, "decoder_hidden_size": 64},
        head="ForSemanticSegmentation",
    ),
    "wav2vec 2.0": _Architecture(
        net="Wav2Vec2ForCTC", config="Wav2Vec2Config", settings=_COMMON | _SPEECH, inputs=("sound",)
    ),
    "Whisper": _Architecture(
        net="WhisperForConditionalGeneration",
        config="WhisperConfig",
        settings=_COMMON
        | _ENCODER_DECODER
        | {
            "use_cache": False,
            "num_mel_bins": 16,
            "max_source_positions": 20,
            "max_target_positions": 32,
            "decoder_start_token_id": 1,
        },
        inputs=("spectrum", "decoder_tokens"),
        only="logits",
    ),
    "CLIP": _Architecture(
        net="CLIPModel",
        config="CLIPConfig",
        settings=_PAIR | {"projection_dim": 48},
        inputs=("tokens", "images"),
        only="logits_per_text",
    ),
    "SigLIP": _Architecture(
        net="SiglipModel", config="SiglipConfig", settings=_PAIR, inputs=("tokens", "images"), only="logits_per_text"
    ),
    "Mamba": _decoder("Mamba", {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}),
    "Mixtral": _decoder("Mixtral", _GROUPED | _EXPERTS),
    "Qwen2-MoE": _decoder("Qwen2Moe", _GROUPED | _EXPERTS | {"shared_expert_intermediate_size": 96}),
}


def list_transformers() -> list[Subject]:
    """Return the subjects of transformers."""
    return [
        Subject(zoo="transformers", name=name, build=partial(_build, architecture))
        for name, architecture in _ARCHITECTURES.items()
    ]


def _build(architecture: _Architecture) -> tuple[nn.Module, Inputs]:
    declare_operators()
    import transformers

    settings = dict(architecture.settings)
    config = getattr(transformers, architecture.config)(**settings)
    net = getattr(transformers, architecture.net)(config)
    inputs = dict(_make_input(kind) for kind in architecture.inputs)
    return (net if architecture.only is None else Only(net, architecture.only)), inputs


def _make_input(kind: str) -> tuple[str, torch.Tensor]:
    """Return an input of two samples under the name that networks give it; no token stands for padding."""
    if kind in ("tokens", "decoder_tokens"):
        tokens = torch.randint(3, _VOCABULARY, (2, _LENGTH))
        tokens[:, -1] = 2
        return ("input_ids" if kind == "tokens" else "decoder_input_ids"), tokens
    if kind == "image":
        return "pixel_values", torch.randn(2, 3, _IMAGE, _IMAGE)
    if kind == "images":
        # Every text is held against every image, of which there may be another number.
        return "pixel_values", torch.randn(3, 3, _IMAGE, _IMAGE)
    if kind == "sound":
        return "input_values", torch.randn(2, 800)
    return "input_features", torch.randn(2, 16, 40)
