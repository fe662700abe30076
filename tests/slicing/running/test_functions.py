from typing import Any

import pytest
import torch
from torch import fx

from tests.networks import CASES, assert_same, make_generator, shared_model
from widthwise.slicing.running import functions
from widthwise.slicing.running.functions import use_functions

ATEN = torch.ops.aten
X, Y = torch.randn(2, 4, 6, generator=make_generator(1)), torch.randn(2, 4, 6, generator=make_generator(2))
IMAGE = torch.randn(2, 4, 6, 6, generator=make_generator(3))
W = torch.randn(3, 6, generator=make_generator(4))
ARGUMENTS: dict[Any, tuple[Any, ...]] = {
    ATEN.adaptive_avg_pool2d.default: (IMAGE, [2, 3]),
    ATEN.add.Tensor: (X, Y),
    ATEN.avg_pool2d.default: (IMAGE, [3, 2], [2, 1], [1, 1], True, False),
    ATEN.batch_norm.default: (X, torch.ones(4), torch.ones(4), torch.zeros(4), torch.ones(4), False, 0.1, 1e-2, True),
    ATEN.bmm.default: (X, Y.transpose(1, 2)),
    ATEN.cat.default: ([X, Y], -1),
    ATEN.conv1d.default: (X, torch.ones(2, 2, 3), torch.ones(2), [2], [1], [1], 2),
    ATEN.conv2d.default: (IMAGE, torch.ones(2, 2, 3, 3), None, [2, 1], [1, 0], [1, 2], 2),
    ATEN.conv3d.default: (IMAGE[None], torch.ones(1, 2, 2, 2, 2), None, [1, 1, 1], [0, 1, 0]),
    ATEN.div.Tensor: (X, 3),
    ATEN.embedding.default: (W, torch.tensor([[0, 2]]), 1),
    ATEN.gelu.default: (X,),
    ATEN.group_norm.default: (X, 2, torch.ones(4), torch.ones(4), 1e-2),
    ATEN.hardswish.default: (X,),
    ATEN.layer_norm.default: (X, [4, 6], None, None, 1e-2),
    ATEN.linear.default: (X, W, torch.ones(3)),
    ATEN.matmul.default: (X, W.T),
    ATEN.max_pool2d.default: (IMAGE, [3, 3], [2, 1], [1, 1], [1, 2], True),
    ATEN.mean.dim: (X, [0, 2], True),
    ATEN.mul.Tensor: (X, 2.5),
    ATEN.permute.default: (X, [2, 0, 1]),
    ATEN.relu.default: (X,),
    ATEN.reshape.default: (X, [2, 24]),
    ATEN.scaled_dot_product_attention.default: (IMAGE, IMAGE, IMAGE[..., :3], None, 0.0, True),
    ATEN.sigmoid.default: (X,),
    ATEN.silu.default: (X,),
    ATEN.softmax.int: (X, 1),
    ATEN.sub.Tensor: (X, Y),
    ATEN.tanh.default: (X,),
    ATEN.transpose.int: (X, 0, -1),
    ATEN.unsqueeze.default: (X, -1),
}
KEYWORDS: dict[Any, dict[str, Any]] = {
    ATEN.add.Tensor: {"alpha": 2},
    ATEN.sub.Tensor: {"alpha": 2},
    ATEN.gelu.default: {"approximate": "tanh"},
    ATEN.mean.dim: {"dtype": torch.float64},
    ATEN.scaled_dot_product_attention.default: {"scale": 0.3},
}


def test_every_operator_of_the_table_is_compared() -> None:
    assert functions._FUNCTIONS.keys() == ARGUMENTS.keys()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("operator", ARGUMENTS, ids=str)
def test_a_function_gives_what_its_operator_gives(operator: Any) -> None:
    function = functions._FUNCTIONS[operator]  # pyright: ignore[reportPrivateUsage]
    args, kwargs = ARGUMENTS[operator], KEYWORDS.get(operator, {})
    assert torch.equal(function(*args, **kwargs), operator(*args, **kwargs))


@pytest.mark.parametrize("name", ["mlp-norm", "resnet", "conv"])
def test_a_program_gives_what_its_operators_give(name: str) -> None:
    runner = shared_model(name)._engine.sliced.evaluation  # pyright: ignore[reportPrivateUsage]
    args, _ = CASES[name].sample(3, make_generator(1), torch.float64)
    sizes, state = runner.program.sizes({}), runner.state()
    with torch.no_grad():
        _, fast = runner.program.run(sizes, state, args)
        _, plain = runner.program.module(sizes, *state, *args)
    assert_same(fast, plain)


def test_a_batch_norm_whose_statistics_are_read_stays() -> None:
    graph = fx.Graph()
    x = graph.placeholder("x")
    norm = ATEN._native_batch_norm_legit_no_training.default
    node = graph.call_function(norm, (x, None, None, x, x, 0.1, 1e-5))
    graph.output((graph.call_function(lambda pair: pair[0], (node,)),))
    use_functions(graph)
    assert next(each.target for each in graph.nodes if each.op == "call_function") is norm


def test_an_operator_without_a_function_stays() -> None:
    graph = fx.Graph()
    graph.output(graph.call_function(ATEN.flip.default, (graph.placeholder("x"), [0])))
    targets = [node.target for node in use_functions(graph).nodes]
    assert ATEN.flip.default in targets
