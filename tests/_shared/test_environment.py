import getpass
import json
import platform
from importlib import metadata
from pathlib import Path

import pytest
import torch

from widthwise._shared import describe_environment, environment


def test_the_environment_is_ready_to_be_written_as_json() -> None:
    found = describe_environment()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "widthwise", "python", "torch", "numpy", "system", "processor", "cores", "threads", "gpu",
    }  # fmt: skip


def test_versions_and_threads_are_those_in_use() -> None:
    found = describe_environment()
    assert found["torch"] == torch.__version__
    assert found["numpy"] == metadata.version("numpy")
    assert found["python"] == platform.python_version()
    assert found["threads"] == torch.get_num_threads()
    assert isinstance(found["cores"], int)
    assert found["cores"] >= 1


def test_nothing_tells_whose_machine_it_is() -> None:
    text = json.dumps(describe_environment())
    for private in (platform.node(), str(Path.home()), str(Path.cwd()), getpass.getuser()):
        assert private not in text


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert environment._version("no-such-distribution") is None


def test_the_processor_is_named_by_its_model(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Acme 9000: Fast\nprocessor\t: 1\nmodel name\t: Acme 9001\n")
    assert environment._linux_processor(cpuinfo) == "Acme 9000: Fast"


def test_a_processor_without_a_model_is_named_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment._linux_processor(tmp_path / "none") == ""
    monkeypatch.setattr(environment, "_linux_processor", lambda _: "")
    monkeypatch.setattr(environment.sys, "platform", "linux")
    assert describe_environment()["processor"] == platform.machine()
