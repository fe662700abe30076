import re
from pathlib import Path

from widthwise._shared import VERSION

ROOT = Path(__file__).parents[2]


def test_the_version_is_one_that_an_installer_can_compare() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|(a|b|rc)\d+)?", VERSION)


def test_the_citation_tells_the_same_version() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
