"""What a number was measured on: versions and the model of the machine, never its name, a path or an address."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from widthwise._shared.version import VERSION

__all__ = ["describe_environment"]


def describe_environment() -> dict[str, str | int | None]:
    """Return the versions, processor, cores and threads that a result file carries, ready to be written as JSON.

    Keys: `widthwise`, `python`, `torch`, `numpy` (versions, None where not installed), `system` ("Linux x86_64"),
    `processor` (model name), `cores` (those this process may run on), `threads` (of torch, within one operator),
    `gpu` (model name, None without one).
    """
    return {
        "widthwise": VERSION,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": _version("numpy"),
        "system": f"{platform.system()} {platform.machine()}".strip(),
        "processor": _processor(),
        "cores": _num_cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _num_cores() -> int:
    # A container may be allowed fewer cores than the machine has; only Linux can say.
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    if sys.platform == "linux":
        name = _linux_processor(Path("/proc/cpuinfo"))
    elif sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    else:
        name = platform.processor()
    return name or platform.machine() or "unknown"


def _linux_processor(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")
