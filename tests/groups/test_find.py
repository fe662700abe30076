import pytest
import torch
from torch import nn

from tests.traps import FROZEN, SOUND, Network, Trap
from widthwise._shared import GroupError
from widthwise.graph import Solver, StateAxes, as_example, infer_axes, trace_network
from widthwise.groups import Groups, Member, find_groups


def groups_of(net: nn.Module, *inputs: object) -> Groups:
    solver = Solver()
    state = StateAxes(net, solver)
    return find_groups(net, infer_axes(trace_network(net, as_example(inputs), training=False), state, solver), state)


def make(trap: Trap) -> Groups:
    net, inputs = trap.make()
    return groups_of(net, *inputs)


@pytest.mark.parametrize("name", FROZEN)
def test_what_cannot_be_cut_safely_is_frozen_and_says_why(name: str) -> None:
    with pytest.raises(GroupError) as caught:
        make(FROZEN[name])
    assert FROZEN[name].reason in str(caught.value)


def test_groups_come_in_the_order_of_the_network_with_all_their_members() -> None:
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.Linear(6, 3))
    found = groups_of(net, torch.randn(3, 5))
    assert [(group.name, group.size, group.lower_bound) for group in found] == [("0", 8, 1), ("3", 6, 1)]
    assert set(map(str, found[0].members)) == {
        "0.weight[0]", "0.bias[0]", "1.weight[0]", "1.bias[0]", "1.running_mean[0]", "1.running_var[0]", "3.weight[1]",
    }  # fmt: skip
    assert found[1].members == (
        Member(target="3.weight", axis=0), Member(target="3.bias", axis=0), Member(target="4.weight", axis=1),
    )  # fmt: skip


def test_frozen_axes_are_listed_with_their_reasons() -> None:
    found = groups_of(nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3)), torch.randn(3, 5))
    assert [(f"{axis.target}[{axis.axis}]", axis.size, axis.reason, axis.remedy) for axis in found.frozen] == [
        ("0.weight[1]", "5", "input of the model", "nothing: it is what the network takes"),
        ("1.weight[0]", "3", "output of the model", "nothing: it is what the network gives"),
        ("1.bias[0]", "3", "output of the model", "nothing: it is what the network gives"),
    ]


def test_names_and_sizes_are_the_same_when_traced_again() -> None:
    for name in ("19 heads and what is in them", "a grouped transposed convolution", "12 tied modules"):
        assert make(SOUND[name]).to_dict() == make(SOUND[name]).to_dict()


def test_a_group_is_named_after_the_module_that_makes_its_units_also_where_the_weight_is_tied() -> None:
    """The tied weight is registered as h.weight first, but the embedding makes the units."""
    found = make(SOUND["12 tied modules"])
    assert found["e"].size == 8
    assert {"e.weight[1]", "h.weight[1]"} <= set(map(str, found["e"].members))
    assert not any(member.target in ("e.weight", "h.weight") for member in found["f.0"].members)


def test_parameters_of_the_network_itself_give_their_own_name() -> None:
    assert [group.name for group in make(SOUND["matrices from the left"])] == ["v"]


def test_a_module_that_is_used_twice_keeps_its_name() -> None:
    assert [group.name for group in make(SOUND["a layer used twice"])] == ["a"]


def test_several_groups_of_one_module_are_numbered_past_names_that_are_taken() -> None:
    net = Network(
        lambda s, x: s.o(s.w(x).view(-1, 2, 3).flatten(1)),
        w=nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 6)),
        o=nn.Linear(6, 3),
    )
    assert groups_of(net, torch.randn(3, 5)).sizes == {"w.0": 4, "w.1.0": 2, "w.1.1": 3}
    names = ["w", "w", "w.0"]
    from widthwise.groups.find import unique_names

    assert unique_names(names) == ["w.1", "w.2", "w.0"]


def test_units_that_come_from_no_parameter_are_no_group() -> None:
    found = make(SOUND["coordinates beside channels"])
    assert [group.name for group in found] == ["c"]


def test_unread_units_are_frozen_and_say_so() -> None:
    found = make(SOUND["13 parameters that nobody reads"])
    reasons = {f"{axis.target}[{axis.axis}]": axis.reason for axis in found.frozen}
    assert reasons["dead.weight[0]"] == "never written: no operator passes it on from a parameter"
    net = Network(
        lambda s, x: (s.o(s.a(x)), s.b(s.a(x)).relu())[0], a=nn.Linear(5, 8), b=nn.Linear(8, 6), o=nn.Linear(8, 3)
    )
    assert {axis.reason for axis in groups_of(net, torch.randn(3, 5)).frozen if axis.target.startswith("b.")} == {
        "never written: no operator passes it on from a parameter"
    }


def test_units_that_are_carried_but_never_summed_over_are_frozen_and_say_so() -> None:
    net = Network(
        lambda s, x: s.o(s.a(x)) + 0 * s.b(x).detach()[:, :0].sum(), a=nn.Linear(5, 8), b=nn.Linear(5, 6),
        o=nn.Linear(8, 3),
    )  # fmt: skip
    found = groups_of(net, torch.randn(3, 5))
    assert [group.name for group in found] == ["a"]
    reasons = {axis.reason for axis in found.frozen if axis.target == "b.bias"}
    assert reasons == {"never read: no operator sums over it"}


def test_a_network_of_unknown_operators_is_an_error_that_names_them() -> None:
    net = Network(lambda s, x: s.o(s.a(x).put(s.i, x[:, 0])), a=nn.Linear(5, 8), o=nn.Linear(8, 3), i=torch.arange(3))
    with pytest.raises(GroupError) as caught:
        groups_of(net, torch.randn(3, 5))
    message = str(caught.value)
    assert message.startswith(
        "Network must have an axis that can shrink, got none (a.weight[0]: unknown operator aten.put (network.py:"
    )
    assert message.endswith(
        "; a.weight[1]: input of the model; o.weight[0]: output of the model); add a rule for the unknown operator "
        "(widthwise.graph.rule), or place ww.StructuralDropout by hand"
    )


def test_a_network_without_a_hidden_layer_is_an_error() -> None:
    with pytest.raises(GroupError) as caught:
        groups_of(nn.Linear(5, 3), torch.randn(3, 5))
    assert str(caught.value) == (
        "Linear must have an axis that can shrink, got none (weight[0]: output of the model; weight[1]: input of the "
        "model); give it a hidden layer between input and output"
    )
    with pytest.raises(
        GroupError, match=r"^ReLU must have an axis that can shrink, got none \(no parameters\); give it"
    ):
        groups_of(nn.ReLU(), torch.randn(3, 5))


def test_many_reasons_are_cut_short() -> None:
    net = Network(
        lambda s, x: torch.cat(
            [s.a(x).put(torch.arange(3), x[:, 0]), s.b(x).softmax(-1), s.c(x).flip(-1), s.d(x).cumsum(-1)], 1
        ),
        **{name: nn.Linear(5, 8) for name in "abcd"},
    )
    with pytest.raises(GroupError, match=r"; \.\.\.\); add a rule"):
        groups_of(net, torch.randn(3, 5))
