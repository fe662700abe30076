import subprocess
import sys

import pytest

HEAVY = (
    "PIL",
    "accelerate",
    "executorch",
    "fastapi",
    "gradio",
    "lightning",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pooch",
    "requests",
    "scipy",
    "sklearn",
    "tensorboard",
    "torchao",
    "torchvision",
    "transformers",
    "uvicorn",
)
# Core dependencies, which only the command line and recipes need.
NOT_YET = ("pydantic", "rich", "typer")

SCRIPT = "import sys, {module}; print(*[name for name in sys.argv[1:] if name in sys.modules])"


def loaded_by(module: str, names: tuple[str, ...]) -> list[str]:
    command = [sys.executable, "-c", SCRIPT.format(module=module), *names]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
def test_import_widthwise_loads_no_optional_package() -> None:
    assert loaded_by("widthwise", (*HEAVY, *NOT_YET)) == []


def test_a_loaded_package_is_seen() -> None:
    assert loaded_by("json, decimal", ("json", "decimal", "matplotlib")) == ["json", "decimal"]
