import torch

from widthwise.slicing.context import plain_context


def test_nothing_of_the_surroundings_reaches_the_block() -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        with plain_context():
            x = torch.ones(2, 2, requires_grad=True)
            y = x @ x
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
    assert y.dtype == torch.float32
    assert y.grad_fn is not None


def test_a_block_without_gradients_is_left_as_it_was() -> None:
    with torch.no_grad():
        with plain_context():
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
