"""Programs that tests need, from Debian's packages."""

import os
import shutil
import subprocess


def install(package: str) -> str:
    """Install a package where that may be done, after others that install; what hindered it, or nothing."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"it is not installed, and only root can install Debian's package {package}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update",), ("install", "-y", "--no-install-recommends", package)):
        words = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *command]
        try:
            done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600, check=False)
        except subprocess.TimeoutExpired:
            return f"installing Debian's package {package} took more than ten minutes"
    return "" if done.returncode == 0 else f"installing Debian's package {package} failed: {done.stderr[-300:]}"
