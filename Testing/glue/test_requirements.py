import shutil
import subprocess
import sys
import types
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
import slicer

from cisfa_slicer import requirements
from cisfa_slicer.requirements import (
    DICOM_FILE,
    FILE,
    PACS_FILE,
    Requirement,
    RequirementsError,
    ensure_requirements,
    missing_requirements,
)

Usage = namedtuple("Usage", "total used free")


class Pip:
    """Stands in for the network: remembers what was asked of it, and makes it look installed."""

    def __init__(self, versions: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.versions, self.asked, self.fails_with = versions, [], None
        monkeypatch.setattr(metadata, "version", self.version)
        monkeypatch.setattr(requirements, "_can_be_imported", lambda name: False)
        monkeypatch.setattr(slicer.util, "pip_install", self.install, raising=False)
        monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1 << 40, 0, 1 << 40))

    def version(self, name: str) -> str:
        if name not in self.versions:
            raise metadata.PackageNotFoundError(name)
        return self.versions[name]

    def install(self, words: list[str]) -> None:
        self.asked.append(words)
        if self.fails_with:
            raise self.fails_with
        for word in words:
            name, found, minimum = word.partition(">=")
            if found:
                self.versions[name] = minimum


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Everything is installed but torch and nibabel."""
    there = {"filelock": "3.20", "numpy": "2.4.6", "scipy": "1.17.1", "SimpleITK": "2.5.0", "safetensors": "0.8.0"}
    return Pip({**there, "pydicom": "3.0.1"}, monkeypatch)


@pytest.fixture
def pytorch_extension(monkeypatch: pytest.MonkeyPatch, pip: Pip) -> list[dict[str, object]]:
    """Slicer's extension PyTorch; what it was asked for."""
    asked: list[dict[str, object]] = []

    class Logic:
        def installTorch(self, **choices: object) -> None:
            asked.append(choices)
            pip.versions["torch"] = "2.13.0+cpu"

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = Logic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return asked


def yes(question: str) -> bool:
    return True


def test_the_file_asks_for_what_the_package_needs(root: Path) -> None:
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [line.partition("#")[0].strip() for line in FILE.read_text(encoding="utf-8").splitlines()]
    assert sorted(filter(None, lines)) == sorted(project["dependencies"])


@pytest.mark.parametrize(("file", "extras"), [(DICOM_FILE, ["dicom"]), (PACS_FILE, ["dicom", "pacs"])])
def test_exporting_and_sending_need_their_extras_and_no_torch(file: Path, extras: list[str], root: Path) -> None:
    """Who sends has written the file just before, and is asked once for both."""
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    reading = ("numpy", "SimpleITK", "nibabel", "pydicom")
    wanted = [line for line in project["dependencies"] if line.partition(">=")[0] in reading]
    wanted += [line for extra in extras for line in project["optional-dependencies"][extra]]
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(filter(None, lines)) == sorted(wanted)
    assert len(wanted) == len(reading) + len(extras) + (2 if "pacs" in extras else 0)


def test_here_nothing_is_missing_and_nobody_is_asked() -> None:
    def never(question: str) -> bool:
        raise AssertionError(question)

    for file in (FILE, DICOM_FILE, PACS_FILE):
        assert missing_requirements(file) == ()
        ensure_requirements(never, file=file)


def test_looking_for_what_is_missing_does_not_import_it() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from cisfa_slicer.requirements import missing_requirements; missing_requirements();"
        "sys.exit(bool({'torch', 'nibabel', 'SimpleITK'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, str(FILE.parents[1])], check=True, timeout=120)


def test_what_is_missing_or_too_old_is_found(pip: Pip) -> None:
    pip.versions["SimpleITK"] = "2.2.9"
    assert missing_requirements() == (
        Requirement("torch", "2.8"),
        Requirement("SimpleITK", "2.3", "2.2.9"),
        Requirement("nibabel", "5.2"),
    )
    assert "SimpleITK (2.2.9 is too old)" in ", ".join(map(str, missing_requirements()))


@pytest.mark.parametrize("version", ["2.8", "2.8.0", "2.10.1", "2.13.0+cu130", "3", "2.8.0a0"])
def test_versions_are_compared_as_numbers(version: str, pip: Pip) -> None:
    pip.versions["torch"] = version
    assert [each.name for each in missing_requirements()] == ["nibabel"]


def test_slicers_own_build_without_metadata_counts(pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    del pip.versions["SimpleITK"]
    monkeypatch.setattr(requirements, "_can_be_imported", lambda name: name == "SimpleITK")
    assert [each.name for each in missing_requirements()] == ["torch", "nibabel"]


def test_the_users_no_changes_nothing(pip: Pip) -> None:
    questions = []
    with pytest.raises(RequirementsError, match="cannot work without torch, nibabel"):
        ensure_requirements(lambda question: bool(questions.append(question)))
    assert pip.asked == []
    assert "torch, nibabel" in questions[0]
    assert "PyTorch is large" in questions[0]


def test_torch_comes_through_its_extension_and_the_rest_through_pip(
    pip: Pip, pytorch_extension: list[dict[str, object]]
) -> None:
    ensure_requirements(yes)
    assert pytorch_extension == [{"torchVersionRequirement": ">=2.8"}]
    assert pip.asked == [["nibabel>=5.2"]]


def test_newer_slicers_install_through_slicer_packaging(
    pip: Pip, pytorch_extension: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    packaging = types.ModuleType("slicer.packaging")
    packaging.__spec__ = types.SimpleNamespace(origin="there", name="slicer.packaging")

    def pip_ensure(specifiers: list[str], *, prompt_install: bool, requester: str) -> None:
        asked.append((specifiers, prompt_install, requester))
        pip.versions["nibabel"] = "5.4"

    packaging.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    ensure_requirements(yes)
    assert asked == [(["nibabel>=5.2"], False, "CISFA")]
    assert pip.asked == []


def test_without_the_extension_the_user_is_told_where_to_get_it(pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(RequirementsError, match="Extensions Manager"):
        ensure_requirements(yes)


def test_a_hospital_installs_everything_from_a_folder_without_network(pip: Pip, tmp_path: Path) -> None:
    (tmp_path / "torch-2.13.0-py3-none-any.whl").touch()
    ensure_requirements(yes, wheel_folder=str(tmp_path))
    assert pip.asked == [["--no-index", "--find-links", str(tmp_path), "torch>=2.8", "nibabel>=5.2"]]


def test_an_empty_wheel_folder_is_explained(pip: Pip, tmp_path: Path) -> None:
    with pytest.raises(RequirementsError, match=r"no wheels .* pip download --dest FOLDER torch>=2.8 nibabel>=5.2"):
        ensure_requirements(yes, wheel_folder=str(tmp_path))


def test_a_failing_pip_is_explained(pip: Pip, pytorch_extension: list[dict[str, object]]) -> None:
    pip.fails_with = subprocess.CalledProcessError(1, ["pip"])
    with pytest.raises(RequirementsError, match=r"nibabel could not be installed from the internet .* HTTPS_PROXY"):
        ensure_requirements(yes)


def test_what_is_still_not_there_asks_for_a_restart(pip: Pip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.whl").touch()
    monkeypatch.setattr(slicer.util, "pip_install", lambda words: None)
    with pytest.raises(RequirementsError, match="Restart Slicer"):
        ensure_requirements(yes, wheel_folder=str(tmp_path))


def test_a_full_disk_is_told_before_anything_is_asked(pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1 << 40, 0, 1 << 30))
    with pytest.raises(RequirementsError, match=r"has 1\.0 GiB left, and installing needs up to 7\.0 GiB"):
        ensure_requirements(lambda question: pytest.fail("asked"))


@pytest.mark.parametrize(("folder", "is_fine"), [("C:/S", True), ("C:/" + "long/" * 30, False)])
def test_windows_short_paths_are_told_before_torch_is_half_unpacked(
    folder: str, is_fine: bool, pip: Pip, pytorch_extension: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "_allows_long_paths", lambda: False)
    monkeypatch.setattr(requirements, "_packages_folder", lambda: Path(folder))
    if is_fine:
        ensure_requirements(yes)
    else:
        with pytest.raises(RequirementsError, match="LongPathsEnabled"):
            ensure_requirements(yes)
