"""The models that a recipe can name."""

import inspect
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import torch
from torch import nn

from widthwise._shared import RecipeError
from widthwise.zoo.models.lstm_lm import LSTMLanguageModel
from widthwise.zoo.models.mlp import MLP
from widthwise.zoo.models.pointnet import PointNet
from widthwise.zoo.models.resnet import ResidualConvNet
from widthwise.zoo.models.transformer_lm import TransformerLanguageModel
from widthwise.zoo.models.vit import VisionTransformer

__all__ = ["build_model", "draw_weights", "list_models"]

_MODELS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "mlp": MLP,
        "resnet": ResidualConvNet,
        "vit": VisionTransformer,
        "pointnet": PointNet,
        "lstm_lm": LSTMLanguageModel,
        "transformer_lm": TransformerLanguageModel,
    }
)


def list_models() -> tuple[str, ...]:
    """Return the names that `build_model` knows."""
    return tuple(_MODELS)


def build_model(name: str, *, generator: torch.Generator | None = None, **settings: object) -> nn.Module:
    """Return a new model of the zoo, with the settings as the arguments of its class.

    Args:
        name: One of `list_models()`.
        generator: Where the first parameters come from; the global random state is then left as it was. Without it
            they come from the global state, as those of every module of PyTorch do.
        settings: Arguments of the model's class, as a recipe gives them: `sizes=[784, 256, 256, 10]`.

    Raises:
        RecipeError: An unknown name, an unknown or missing setting, or a value out of range.

    Example:
        >>> build_model("mlp", sizes=[784, 256, 10])
        MLP(
          (flatten): Flatten(start_dim=1, end_dim=-1)
          (fc1): Linear(in_features=784, out_features=256, bias=True)
          (activation1): ReLU()
          (head): Linear(in_features=256, out_features=10, bias=True)
        )
    """
    if name not in _MODELS:
        raise RecipeError(f"model must be one of {', '.join(_MODELS)}, got {name!r}; use one of these names")
    model = _MODELS[name]
    _check_settings(name, model, settings)
    if generator is None:
        return model(**settings)
    with _lend_global_state(generator):
        return model(**settings)


def draw_weights(net: nn.Module, generator: torch.Generator) -> None:
    """Draw the first parameters of a model anew, for the sizes that it has now.

    Args:
        net: Its modules, inner ones first, draw by their `reset_parameters`, as those of PyTorch have it.
        generator: Where they come from; the global random state is left as it was.
    """
    with _lend_global_state(generator):
        for module in reversed(list(net.modules())):
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


@contextmanager
def _lend_global_state(generator: torch.Generator) -> Generator[None]:
    """Seed the global random state, from which alone modules initialise themselves, and put it back then."""
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _check_settings(name: str, model: type[nn.Module], settings: Mapping[str, object]) -> None:
    parameters = inspect.signature(model).parameters
    known = ", ".join(parameters)
    unknown = [setting for setting in settings if setting not in parameters]
    if unknown:
        raise RecipeError(f"settings of model {name} are {known}, got the unknown {', '.join(unknown)}; leave it out")
    required = [key for key, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    missing = [key for key in required if key not in settings]
    if missing:
        got = f"only {', '.join(settings)}" if settings else "none"
        raise RecipeError(f"model {name} needs the setting {', '.join(missing)}, got {got}; its settings are {known}")
