import inspect

import pytest

import widthwise._shared.errors as errors
from widthwise._shared import MissingExtraError, WidthWarning, WidthwiseError

FAMILY = [kind for name in errors.__all__ if issubclass(kind := getattr(errors, name), WidthwiseError)]


@pytest.mark.parametrize("error", FAMILY)
def test_one_except_catches_every_error(error: type[WidthwiseError]) -> None:
    with pytest.raises(WidthwiseError) as caught:
        raise error("expected a, got b; do c")
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == "expected a, got b; do c"


def test_the_warning_is_no_error() -> None:
    assert [name for name in errors.__all__ if getattr(errors, name) not in FAMILY] == ["WidthWarning"]
    assert issubclass(WidthWarning, UserWarning)


def test_a_missing_extra_is_an_import_error_too() -> None:
    with pytest.raises(ImportError, match="needs x"):
        raise MissingExtraError("needs x")


def test_every_error_is_public_and_final() -> None:
    classes = [item for _, item in inspect.getmembers(errors, inspect.isclass) if item.__module__ == errors.__name__]
    assert {item.__name__ for item in classes} == set(errors.__all__)
    assert [item for item in classes if item.__subclasses__() and item is not WidthwiseError] == []
