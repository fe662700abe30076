import pytest

from widthwise._shared import CurveError, GroupError, WidthwiseError
from widthwise.report import check_ending
from widthwise.report.picture import make_metadata


@pytest.mark.parametrize(("name", "file_format"), [("a.png", "png"), ("b/a.b.SVG", "svg"), ("a.pdf", "pdf")])
def test_the_ending_tells_the_format(name: str, file_format: str) -> None:
    assert check_ending(name, CurveError) == file_format


@pytest.mark.parametrize("error", [CurveError, GroupError])
@pytest.mark.parametrize("name", ["a.jpg", "png", "a", ".svg"])
def test_another_ending_is_an_error_of_the_room_that_asks(name: str, error: type[WidthwiseError]) -> None:
    with pytest.raises(error) as caught:
        check_ending(f"folder/{name}", error)
    assert str(caught.value) == f"expected a file name ending in .png, .svg, .pdf, got {name}; choose one of them"


def test_no_file_holds_its_date() -> None:
    assert make_metadata("svg") == {"Date": None}
    assert make_metadata("pdf") == {"CreationDate": None}
    assert make_metadata("png") == {}
