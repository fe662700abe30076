"""Let PyTorch's own layers say the sizes of their parameters, after those were replaced by smaller ones."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase as Normalization  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd as Convolution  # pyright: ignore[reportPrivateUsage]

from widthwise.slicing.running.program import Resized

__all__ = ["flatten_weights", "set_sizes"]


def set_sizes(module: nn.Module, resized: Iterable[Resized]) -> bool:
    """Set what a layer of PyTorch remembers of the sizes of its parameters.

    Args:
        module: A module whose parameters have their new shapes.
        resized: The numbers that its operators take and that depend on widths.

    Returns:
        Whether it is such a layer.
    """
    groups = next((number.kept for number in resized if number.argument in ("groups", "num_groups")), None)
    if isinstance(module, Convolution):
        _set_convolution(module, groups)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Bilinear):
        module.out_features, module.in1_features, module.in2_features = module.weight.shape
    elif isinstance(module, Normalization | nn.GroupNorm | nn.LayerNorm | nn.RMSNorm):
        return _set_norm(module, groups)
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        module.num_embeddings, module.embedding_dim = module.weight.shape
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
        _set_recurrent(module)
    elif isinstance(module, nn.MultiheadAttention):
        _set_attention(module)
    else:
        return False
    return True


def flatten_weights(net: nn.Module) -> None:
    """Let recurrent layers keep their weights in one piece of memory again, as cuDNN wants them."""
    for module in net.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()


def _set_convolution(module: Convolution, groups: int | None) -> None:
    module.groups = groups or module.groups
    first, second = module.weight.shape[:2]
    channels = (first, second * module.groups) if module.transposed else (second * module.groups, first)
    module.in_channels, module.out_channels = channels


def _set_norm(module: Normalization | nn.GroupNorm | nn.LayerNorm | nn.RMSNorm, groups: int | None) -> bool:
    """Return whether the norm has parameters or statistics that tell its size."""
    sized = getattr(module, "weight", None)
    if not isinstance(sized, Tensor):
        sized = getattr(module, "running_mean", None)
    if isinstance(module, nn.GroupNorm):
        module.num_groups = groups or module.num_groups
        module.num_channels = len(sized) if isinstance(sized, Tensor) else module.num_channels
        return True
    if isinstance(sized, Tensor):
        if isinstance(module, Normalization):
            module.num_features = len(sized)
        else:
            module.normalized_shape = tuple(sized.shape)
    return isinstance(sized, Tensor)


def _set_recurrent(module: nn.RNNBase | nn.RNNCellBase) -> None:
    cell = isinstance(module, nn.RNNCellBase)
    given, state = (getattr(module, name if cell else f"{name}_l0") for name in ("weight_ih", "weight_hh"))
    num_gates = 4 if isinstance(module, nn.LSTM | nn.LSTMCell) else 3 if isinstance(module, nn.GRU | nn.GRUCell) else 1
    module.input_size, module.hidden_size = given.shape[1], len(given) // num_gates
    if isinstance(module, nn.RNNBase):
        module.proj_size = state.shape[1] if module.proj_size else 0


def _set_attention(module: nn.MultiheadAttention) -> None:
    """Its operator takes heads to be as wide as embed_dim / num_heads: they can go only as the embedding does."""
    module.embed_dim, inner = module.out_proj.weight.shape
    module.num_heads = max(inner // module.head_dim, 1)
    if module.in_proj_weight is None:
        module.kdim, module.vdim = module.k_proj_weight.shape[1], module.v_proj_weight.shape[1]
    else:
        module.kdim = module.vdim = module.in_proj_weight.shape[1]
