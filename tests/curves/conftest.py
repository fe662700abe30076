import pytest

from tests.curves.stand_in import StandIn, make_stand_in


@pytest.fixture
def model() -> StandIn:
    return make_stand_in()


@pytest.fixture
def other_model() -> StandIn:
    return make_stand_in(seed=1)
