import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.elastic.files.levels import find_births
from widthwise.groups import Group

groups_of_a_network = st.lists(
    st.builds(
        lambda size, lower, step, follows: (size, min(size, lower), step, follows),
        st.integers(1, 60),
        st.integers(1, 3),
        st.sampled_from([1, 1, 4]),
        st.sampled_from([True, True, False]),
    ),
    min_size=2,
    max_size=4,
)


def make(sizes: list[tuple[int, int, int, bool]]) -> list[Group]:
    return [
        Group(name=str(i), size=size, lower_bound=lower, step=step, follows=follows, members=(), key=i)
        for i, (size, lower, step, follows) in enumerate(sizes)
    ]


@settings(max_examples=100)
@given(groups_of_a_network, st.floats(0.01, 0.2), st.floats(0.01, 1))
def test_the_units_of_a_fraction_are_those_up_to_a_level(
    sizes: list[tuple[int, int, int, bool]], lowest: float, fraction: float
) -> None:
    groups = make(sizes)
    births = find_births(groups, {group.name: group.units_at(lowest) for group in groups})
    kept = {group.key: group.units_at(max(lowest, fraction)) for group in groups}
    level = max(int(births[key][units - 1]) for key, units in kept.items())
    assert {key: int((each <= level).sum()) for key, each in births.items()} == kept


def test_levels_are_numbered_from_the_narrowest_network_without_a_gap() -> None:
    births = find_births(make([(3, 1, 1, True), (8, 1, 1, True), (5, 1, 1, False)]), {"0": 1, "1": 2, "2": 1})
    assert births[0].tolist() == [0, 3, 7]
    assert births[1].tolist() == [0, 0, 1, 2, 4, 5, 6, 8]
    assert births[2].tolist() == [0] * 5
    assert torch.cat(list(births.values())).unique().tolist() == [*range(9)]
