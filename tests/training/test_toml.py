import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.training.toml import format_toml

scalars = st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False)
values = scalars | st.lists(scalars, max_size=4)
tables = st.recursive(
    st.dictionaries(st.text(), values, max_size=4), lambda inner: st.dictionaries(st.text(), values | inner, max_size=4)
)


@given(tables)
def test_what_is_written_reads_back_equal(content: dict[str, object]) -> None:
    assert tomllib.loads(format_toml(content)) == content


@given(st.floats(allow_nan=False))
def test_a_float_comes_back_bit_equal_and_as_a_float(number: float) -> None:
    found = tomllib.loads(format_toml({"x": number}))["x"]
    assert isinstance(found, float)
    assert found.hex() == number.hex()


def test_true_stays_true_and_one_stays_one() -> None:
    assert format_toml({"a": True, "b": 1}) == "a = true\nb = 1\n"


def test_tables_follow_plain_keys() -> None:
    text = format_toml({"model": {"settings": {"sizes": [64, 10]}, "name": "mlp"}, "name": "a"})
    assert text == 'name = "a"\n\n[model]\nname = "mlp"\n\n[model.settings]\nsizes = [64, 10]\n'


def test_a_value_that_toml_does_not_have_is_refused() -> None:
    with pytest.raises(
        TypeError, match="expected text, a number, a truth value or a list of them, got NoneType; write"
    ):
        format_toml({"a": None})
