"""The operators that torchvision registers from its compiled part, declared by hand beside a torch for CPU only.

The registry's torchvision is compiled for CUDA; beside a CPU build of torch it does not import, and what needs it does
not either, unless these are declared first.
"""

import torch

__all__ = ["declare_operators"]

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A library takes its operators with it when it is collected.
_LIBRARIES: list[torch.library.Library] = []


def declare_operators() -> None:
    """Declare them, once, where torch is built for CPU only."""
    if _LIBRARIES or torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _LIBRARIES.append(library)
