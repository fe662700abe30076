from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from widthwise._shared import WidthwiseError
from widthwise.measure import PRECISIONS, Precision, safetensors_bytes, state_on_disk

INTEGERS = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.uint32,
    torch.uint64,
]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]


def bytes_of_a_written_file(net: nn.Module, folder: Path, metadata: dict[str, str] | None = None) -> int:
    state = {name: tensor.contiguous() for name, tensor in state_on_disk(net).items()}
    save_file(state, folder / "net.safetensors", metadata)
    return (folder / "net.safetensors").stat().st_size


def make_holder(tensors: dict[str, Tensor]) -> nn.Module:
    net = nn.Module()
    for name, tensor in tensors.items():
        net.register_buffer(name, tensor)
    return net


@pytest.mark.parametrize("width", [1, 2, 7, 64, 333])
def test_size_is_that_of_a_written_file(width: int, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(9, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10))

    assert safetensors_bytes(net) == bytes_of_a_written_file(net, tmp_path)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters=".\x00"), min_size=1, max_size=8).filter(
            lambda name: not hasattr(nn.Module(), name)
        ),
        st.tuples(
            st.sampled_from([*INTEGERS, *FLOATS, torch.complex64]), st.lists(st.integers(0, 40), min_size=0, max_size=3)
        ),
        max_size=12,
    )
)
def test_size_is_that_of_a_written_file_for_any_names_dtypes_and_shapes(
    entries: dict[str, tuple[torch.dtype, list[int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    net = make_holder({name: torch.zeros(shape, dtype=dtype) for name, (dtype, shape) in entries.items()})

    assert safetensors_bytes(net) == bytes_of_a_written_file(net, tmp_path_factory.getbasetemp())


def test_size_of_one_number_is_pinned() -> None:
    # 8 bytes of length, a header of 56 bytes ({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} and padding), 4 of
    # data.
    assert safetensors_bytes(make_holder({"w": torch.zeros(1)})) == 8 + 56 + 4


@pytest.mark.parametrize("length", range(12))
def test_metadata_that_fill_their_room_give_a_file_of_the_size_told(length: int, tmp_path: Path) -> None:
    metadata = {"note": "x" * length}
    room = len(f'"__metadata__":{{"note":"{metadata["note"]}"}},')

    assert safetensors_bytes(nn.Linear(3, 2), room=room) == bytes_of_a_written_file(nn.Linear(3, 2), tmp_path, metadata)


def test_doubles_and_halves_count_as_what_they_are() -> None:
    sizes = [safetensors_bytes(make_holder({"w": torch.zeros(1000, dtype=dtype)})) for dtype in FLOATS[:4]]

    assert [size // 1000 for size in sizes] == [2, 2, 4, 8]


def test_a_tied_tensor_is_held_once_under_its_first_name() -> None:
    net = nn.ModuleDict({"embed": nn.Embedding(11, 4), "head": nn.Linear(4, 11)})
    net["head"].weight = net["embed"].weight

    assert list(state_on_disk(net)) == ["embed.weight", "head.bias"]


def test_views_of_other_parts_or_shapes_of_one_memory_are_not_tied() -> None:
    memory = torch.zeros(4, 4)
    net = make_holder({"a": memory, "b": memory[:2], "c": memory[2:], "d": memory.t(), "e": memory.view(16)})

    assert list(state_on_disk(net)) == ["a", "b", "c", "d", "e"]


def test_empty_tensors_are_not_tied() -> None:
    net = make_holder({"a": torch.zeros(0), "b": torch.zeros(0)})

    assert list(state_on_disk(net)) == ["a", "b"]


def test_buffers_that_are_not_persistent_are_left_out() -> None:
    net = nn.Module()
    net.register_buffer("kept", torch.zeros(2))
    net.register_buffer("scratch", torch.zeros(2), persistent=False)

    assert list(state_on_disk(net)) == ["kept"]


def test_extra_state_that_is_no_tensor_is_left_out() -> None:
    class WithExtraState(nn.Linear):
        def get_extra_state(self) -> object:
            return {"note": "kept elsewhere"}

        def set_extra_state(self, state: object) -> None:
            del state

    assert list(state_on_disk(WithExtraState(2, 2))) == ["weight", "bias"]


def test_size_needs_no_memory_for_the_network() -> None:
    with torch.device("meta"):
        large = nn.Sequential(nn.Linear(2**20, 2**20), nn.Linear(2**20, 2**20))

    assert safetensors_bytes(large) > 2 * 4 * 2**40


def test_state_on_disk_is_cut_off_from_the_graph_but_shares_memory() -> None:
    net = nn.Linear(2, 2)
    state = state_on_disk(net)

    assert not state["weight"].requires_grad
    assert state["weight"].data_ptr() == net.weight.data_ptr()


def test_a_dtype_that_the_format_lacks_is_refused_by_name() -> None:
    net = make_holder({"phase": torch.zeros(2, dtype=torch.complex128)})

    with pytest.raises(WidthwiseError) as caught:
        safetensors_bytes(net)

    assert str(caught.value) == (
        "expected dtypes that a .safetensors file can hold, got torch.complex128 in phase; convert that tensor first"
    )


@pytest.mark.parametrize(
    ("net", "name"), [(nn.LazyLinear(4), "weight"), (nn.LazyBatchNorm1d(affine=False), "running_mean")]
)
def test_a_lazy_module_that_never_ran_is_refused_by_name(net: nn.Module, name: str) -> None:
    with pytest.raises(WidthwiseError) as caught:
        safetensors_bytes(net)

    assert str(caught.value) == (
        f"expected tensors with a shape, got the uninitialised {name} of a lazy module; run the network once first"
    )


# Other precisions


def convert(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    state = {name: part.to(dtype) if part.is_floating_point() else part for name, part in net.state_dict().items()}
    return make_holder({name.replace(".", "_"): tensor for name, tensor in state.items()})


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_a_precision_gives_the_size_of_the_converted_file(precision: Precision, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7), nn.Linear(5, 2).double())

    written = bytes_of_a_written_file(convert(net, getattr(torch, precision)), tmp_path)
    assert safetensors_bytes(net, precision=precision) == written


def test_int8_weights_have_a_scale_for_each_row_and_the_rest_stays_float32(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7), nn.Linear(5, 2).half())
    stored = make_holder({})
    for name, tensor in net.state_dict().items():
        place = name.replace(".", "_")
        if tensor.dim() > 1:
            stored.register_buffer(place, tensor.to(torch.int8))
            stored.register_buffer(f"{place}_scale", torch.zeros(len(tensor)))
        else:
            stored.register_buffer(place, tensor.float() if tensor.is_floating_point() else tensor)

    assert safetensors_bytes(net, precision="int8") == bytes_of_a_written_file(stored, tmp_path)


def test_float32_of_a_float32_network_is_its_own_size() -> None:
    net = nn.Linear(7, 5)
    assert safetensors_bytes(net, precision="float32") == safetensors_bytes(net)
    assert PRECISIONS == ("float32", "float16", "bfloat16", "int8")
