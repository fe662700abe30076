import math

import torch

from widthwise.slicing.difference import compare_outputs


def test_equal_outputs_do_not_differ() -> None:
    x = torch.tensor([1.0, float("nan"), float("inf")])
    assert compare_outputs([x, "a", torch.tensor([1, 2])], [x.clone(), torch.tensor([1, 2])]) == 0.0
    assert compare_outputs([], []) == 0.0


def test_the_difference_is_relative_to_the_largest_of_each_output() -> None:
    one, other = [torch.tensor([1.0, 2.0]), torch.tensor([100.0])], [torch.tensor([1.5, 2.0]), torch.tensor([101.0])]
    assert compare_outputs(one, other) == 0.25


def test_another_dtype_differs_unless_it_was_cast() -> None:
    one, other = torch.tensor([2.0, 1.0]), torch.tensor([2.0, 1.5], dtype=torch.float16)
    assert compare_outputs([one], [other]) == math.inf
    assert compare_outputs([one], [other], is_cast=True) == 0.25
    assert compare_outputs([one], [torch.tensor([2, 1])], is_cast=True) == math.inf
