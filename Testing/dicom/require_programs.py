"""Install the programs with which the tests of DICOM check ours: a PACS, and other people's readers.

dev.py runs this before the tests. As root on Debian or Ubuntu it installs what is missing. They are wanted, not
required: where they cannot be had, it says which tests are skipped, and that is no failure.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# each package with something that is there once it is installed
PACKAGES = {
    "orthanc": Path("/usr/sbin/Orthanc"),
    "orthanc-dicomweb": Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    "dicom3tools": Path("/usr/bin/dciodvfy"),
    "dcmtk": Path("/usr/bin/storescp"),
}
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")
# the package orthanc starts a server, with a port for everybody, unless this file forbids it
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\nexit 101\n"


def main() -> None:
    """Install what can be installed; say what is missing then."""
    missing = what_is_missing()
    if missing and shutil.which("apt-get") is not None and os.name == "posix" and os.geteuid() == 0:
        print(f"Installing {' '.join(missing)} ...", flush=True)
        with no_service_started():
            run("apt-get", "update")
            if run(*INSTALL, *missing) != 0:  # one that a distribution lacks must not keep the others away
                for package in missing:
                    run(*INSTALL, package)
        missing = what_is_missing()
    if missing:
        how = f" Run: sudo {' '.join((*INSTALL, *missing))}" if shutil.which("apt-get") else ""
        print(f"Tests that need {', '.join(missing)} are skipped: these programs are not installed.{how}", flush=True)


def what_is_missing() -> list[str]:
    """The packages that are not installed."""
    return [package for package, file in PACKAGES.items() if not file.exists()]


@contextmanager
def no_service_started() -> Iterator[None]:
    """Keep packages from starting what they install; a policy that is there already stays as it is."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(POLICY_TEXT, encoding="utf-8")
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def run(*command: str) -> int:
    """Run a command and show it."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
