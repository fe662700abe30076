"""Optional packages, imported where they are needed, with an error that says which extra of widthwise brings them."""

import importlib
from types import ModuleType
from typing import Literal

from widthwise._shared.errors import MissingExtraError

__all__ = ["Extra", "require"]

Extra = Literal["plot", "data", "export", "executorch", "int8", "demo", "tensorboard"]

_PURPOSES: dict[Extra, str] = {
    "plot": "plotting",
    "data": "this data",
    "export": "export to this format",
    "executorch": "export to .pte",
    "int8": "int8 by torchao",
    "demo": "the embedded data",
    "tensorboard": "training.tensorboard",
}

# The name to install, where it is not the name to import.
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow"}


def require(module: str, extra: Extra) -> ModuleType:
    """Import and return an optional `module`, or say how to install it.

    Args:
        module: The dotted name to import, such as "matplotlib.figure".
        extra: The extra of widthwise that brings it.

    Raises:
        MissingExtraError: Where the module is not installed, or is installed and fails to import.

    Example:
        >>> require("json", "plot").dumps([1])
        '[1]'
    """
    package = module.partition(".")[0]
    name = _DISTRIBUTIONS.get(package, package)
    command = f"pip install 'widthwise[{extra}]'"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as cause:
        if cause.name is not None and (module == cause.name or module.startswith(f"{cause.name}.")):
            raise MissingExtraError(f"{_PURPOSES[extra]} needs {name}; install it with: {command}") from cause
        raise MissingExtraError(_broken(name, extra, cause, command)) from cause
    except (ImportError, OSError, RuntimeError) as cause:
        # A compiled package beside the wrong torch raises any of these.
        raise MissingExtraError(_broken(name, extra, cause, command)) from cause


def _broken(name: str, extra: Extra, cause: Exception, command: str) -> str:
    reason = (str(cause).splitlines() or [type(cause).__name__])[0]
    purpose = _PURPOSES[extra]
    return f"{purpose} needs {name}, which is installed but fails to import ({reason}); reinstall it with: {command}"
