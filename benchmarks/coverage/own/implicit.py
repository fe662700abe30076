"""An image as a function of coordinates: sines of a random projection, then layers of sines."""

import torch
from torch import Tensor, nn

__all__ = ["ImplicitImage"]


class ImplicitImage(nn.Module):
    """Colours at coordinates, (batch, points, 2) to (batch, points, 3); the coordinates are seen again half way."""

    def __init__(self, *, hidden: int, num_layers: int, frequency: float = 30.0) -> None:
        super().__init__()
        self.frequency = frequency
        self.register_buffer("projection", torch.randn(2, hidden))
        self.first = nn.Linear(2 * hidden, hidden)
        self.layers = nn.ModuleList(
            nn.Linear(hidden + (2 if place == num_layers // 2 else 0), hidden) for place in range(num_layers)
        )
        self.head = nn.Linear(hidden, 3)

    def forward(self, x_BNC: Tensor) -> Tensor:
        angle_BNF = x_BNC @ self.projection
        y_BNF = torch.sin(self.first(torch.cat([angle_BNF.sin(), angle_BNF.cos()], dim=-1)))
        for place, layer in enumerate(self.layers):
            y_BNF = torch.cat([y_BNF, x_BNC], dim=-1) if place == len(self.layers) // 2 else y_BNF
            y_BNF = torch.sin(self.frequency * layer(y_BNF)) if place == 0 else torch.sin(layer(y_BNF))
        return self.head(y_BNF)
