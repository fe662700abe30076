import json
import re
from pathlib import Path

import pytest

from widthwise._shared import MissingExtraError, require


def test_an_installed_module_is_returned() -> None:
    assert require("json", "plot") is json
    assert require("json.decoder", "plot") is json.decoder


@pytest.mark.parametrize(
    ("module", "extra", "expected"),
    [
        ("matplotlib", "plot", "plotting needs matplotlib; install it with: pip install 'widthwise[plot]'"),
        ("matplotlib.figure", "plot", "plotting needs matplotlib; install it with: pip install 'widthwise[plot]'"),
        ("pooch", "data", "this data needs pooch; install it with: pip install 'widthwise[data]'"),
        ("PIL.Image", "data", "this data needs pillow; install it with: pip install 'widthwise[data]'"),
        ("onnx", "export", "export to this format needs onnx; install it with: pip install 'widthwise[export]'"),
        (
            "sklearn.datasets",
            "demo",
            "the embedded data needs scikit-learn; install it with: pip install 'widthwise[de",
        ),
        (
            "tensorboard",
            "tensorboard",
            "training.tensorboard needs tensorboard; install it with: pip install 'widthwise[tensorboard]'",
        ),
    ],
)
def test_a_missing_package_names_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str, expected: str
) -> None:
    def is_absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=module.partition(".")[0])

    monkeypatch.setattr("importlib.import_module", is_absent)
    with pytest.raises(MissingExtraError, match=re.escape(expected)):
        require(module, extra)  # type: ignore[arg-type]


def test_a_name_that_nobody_has_is_missing() -> None:
    with pytest.raises(MissingExtraError, match="plotting needs no_such_package; install it with"):
        require("no_such_package.part", "plot")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("raise RuntimeError('operator x::y does not exist\\nsecond line')", "operator x::y does not exist"),
        ("raise OSError()", "OSError"),
    ],
)
def test_a_package_that_is_installed_but_broken_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    (tmp_path / "broken_package.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError) as caught:
        require("broken_package", "plot")
    assert str(caught.value) == (
        f"plotting needs broken_package, which is installed but fails to import ({reason}); "
        "reinstall it with: pip install 'widthwise[plot]'"
    )
