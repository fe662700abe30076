from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tests.networks import assert_same, make_generator
from widthwise._shared import RecipeError
from widthwise.elastic import Elastic
from widthwise.measure import count_call_macs, count_parameters
from widthwise.zoo import LIIF
from widthwise.zoo.models import ImplicitDecoder

SMALL: dict[str, Any] = {"channels": 4, "blocks": 1, "hidden": [6, 6, 6]}


def make(**changes: Any) -> LIIF:
    torch.manual_seed(0)
    return LIIF(**{**SMALL, **changes}).double().eval()


def ask(num_places: int = 7, *, height: int = 5, width: int = 6, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = make_generator(0)
    picture = torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64)
    places = torch.rand(batch, num_places, 2, generator=generator, dtype=torch.float64) * 2 - 1
    return picture, places, torch.full_like(places, 0.1)


@settings(max_examples=10)
@given(
    channels=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    num_places=st.integers(1, 5),
    sides=st.tuples(st.integers(2, 6), st.integers(2, 6)),
    ensemble=st.booleans(),
)
def test_every_place_has_a_colour(
    channels: int, hidden: list[int], num_places: int, sides: tuple[int, int], ensemble: bool
) -> None:
    net = LIIF(channels, 1, hidden, skip_to=None, ensemble=ensemble).double()
    assert net(*ask(num_places, height=sides[0], width=sides[1])).shape == (2, num_places, 3)


def test_the_default_has_the_size_that_its_docstring_says() -> None:
    net = LIIF().eval()
    assert count_parameters(net) == 422_819

    def macs(num_places: int) -> int:
        places = torch.zeros(1, num_places, 2)
        return count_call_macs(net, (torch.zeros(1, 3, 8, 8), places, places), {})

    assert macs(11) - macs(10) == 1_350_656


def test_without_weights_it_is_the_bicubic_picture() -> None:
    net = make()
    nn.init.zeros_(net.decoder.head.weight)
    nn.init.zeros_(net.decoder.head.bias)
    picture, *_ = ask()
    rows, columns = (torch.arange(n, dtype=torch.float64).add(0.5) / n * 2 - 1 for n in (10, 12))
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1).expand(2, -1, -1)
    found = net(picture, places, torch.ones_like(places)).transpose(1, 2).unflatten(2, (10, 12))
    expected = functional.interpolate(picture, scale_factor=2, mode="bicubic")
    assert_same(found, expected)


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_colour_is_what_the_cells_around_tell_by_the_area_opposite(ensemble: bool) -> None:
    net = make(ensemble=ensemble)
    picture, places, cell = ask()
    features = functional.pad(net.encoder(picture), (1, 1, 1, 1))
    found = net(picture, places, cell)
    for b, q in product(range(2), range(7)):
        y, x = ((places[b, q] + 1) / 2 * torch.tensor([5, 6])).tolist()
        if ensemble:
            rows, columns = ({int(v - 0.5 if v >= 0.5 else 0), min(int(v + 0.5), n - 1)} for v, n in ((y, 5), (x, 6)))
            if len(rows) * len(columns) < 4:
                # Beyond the centres of the outermost cells one of them counts twice.
                continue
        else:
            rows, columns = {int(y)}, {int(x)}
        total, areas = torch.zeros(3, dtype=torch.float64), 0.0
        for row, column in product(sorted(rows), sorted(columns)):
            near = features[b, :, row : row + 3, column : column + 3].flatten()
            away = torch.tensor([2 * (y - row - 0.5), 2 * (x - column - 0.5)], dtype=torch.float64)
            told = net.decoder(torch.cat([near, away, cell[b, q] * torch.tensor([5, 6])])[None, None])[0, 0]
            opposite = (2 - float(away[0].abs())) * (2 - float(away[1].abs())) if ensemble else 1.0
            total, areas = total + opposite * told, areas + opposite
        grid = places[b, q].flip(0)[None, None, None]
        smooth = functional.grid_sample(
            picture[b : b + 1], grid, mode="bicubic", padding_mode="border", align_corners=False
        )
        assert (found[b, q] - smooth[0, :, 0, 0] - total / areas).abs().max() < 1e-6


def test_the_skip_puts_units_of_both_layers_side_by_side() -> None:
    decoder = ImplicitDecoder(2, [3, 3, 4], skip_to=2)
    seen: list[Tensor] = []
    decoder.layers[2].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 1, 2)
    decoder(x)
    first = functional.relu(decoder.layers[0](x))
    second = functional.relu(decoder.layers[1](first))
    assert_same(seen[0][..., 0::2], second)
    assert_same(seen[0][..., 1::2], first)


def test_widths_of_encoder_and_decoder_shrink_and_the_small_network_is_one_of_its_class() -> None:
    inputs = ask()
    model = Elastic(make(hidden=[8, 8, 8]), inputs).eval()
    assert model.groups.sizes == {
        "encoder.stem": 4,
        "encoder.blocks.0.conv1": 4,
        "decoder.layers.0": 8,
        "decoder.layers.2": 8,
    }
    assert model.verify().is_sound
    small = model.extract(0.5)
    assert isinstance(small, LIIF)
    other = ask(3, height=4, width=7, batch=1)
    for call in (inputs, other):
        with torch.no_grad(), model.at(0.5):
            assert_same(small(*call), model(*call))


@pytest.mark.parametrize(("skip_to", "hidden"), [(1, [4, 4, 4]), (3, [4, 4, 4]), (2, [4, 5, 4])])
def test_a_skip_to_nowhere_is_an_error(skip_to: int, hidden: list[int]) -> None:
    with pytest.raises(RecipeError) as caught:
        LIIF(hidden=hidden, skip_to=skip_to)
    assert str(caught.value) == (
        "skip_to must be a hidden layer after the second, counted from 0, whose inputs are as many as the first layer "
        f"has units, got {skip_to} for hidden={hidden}; leave it out with skip_to=None"
    )


def test_sizes_that_are_none_are_an_error() -> None:
    with pytest.raises(RecipeError, match=r"^channels must be a positive integer, got 0"):
        LIIF(channels=0)
    with pytest.raises(RecipeError, match=r"^hidden must be one or more positive integers"):
        LIIF(hidden=[])
