"""The extension as CMake builds and installs it: what 3D Slicer would find, without a 3D Slicer."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# it behaves as the real one does: the same folders, the same complaints
STAND_IN = Path(__file__).with_name("slicer_cmake")
SCRIPTED_MODULES = Path("lib", "Slicer-5.12", "qt-scripted-modules")


def tool(name: str) -> str:
    """A program that pip installed beside this Python."""
    path = shutil.which(name, path=sysconfig.get_path("scripts"))
    assert path is not None, f"{name} is missing: run dev.py setup"
    return path


def cmake(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [tool("cmake"), *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False, timeout=200
    )


def configure(source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    definitions = {
        "Slicer_DIR": STAND_IN.as_posix(),
        "CMAKE_TOOLCHAIN_FILE": (STAND_IN / "no_compilers.cmake").as_posix(),
        "CMAKE_MAKE_PROGRAM": Path(tool("ninja")).as_posix(),
        "PYTHON_EXECUTABLE": Path(sys.executable).as_posix(),
        "BUILD_TESTING": "ON",
    }
    words = [f"-D{name}={value}" for name, value in definitions.items()]
    return cmake("-S", source, "-B", build, "-G", "Ninja", *words)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the extension's build tree and its install tree, in a path that is no plain ASCII."""
    folder = tmp_path_factory.mktemp("Größe für Müller")
    for step in (
        configure(ROOT, folder / "build"),
        cmake("--build", folder / "build"),
        cmake("--install", folder / "build", "--prefix", folder / "installed"),
    ):
        assert step.returncode == 0, step.stdout + step.stderr
    return folder


@pytest.fixture(scope="module")
def modules(tree: Path) -> Path:
    """The installed folder in which 3D Slicer looks for modules."""
    return tree / "installed" / SCRIPTED_MODULES


def answer_of_slicers_python(modules: Path, code: str) -> str:
    """What a fresh Python prints whose path begins with the installed folder, as Slicer's does."""
    begin = f"import sys; sys.path.insert(0, {str(modules)!r})\n"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    answer = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-c", begin + code],
        cwd=modules.anchor,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def files_below(folder: Path, *, ending: str = "") -> set[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob(f"*{ending}") if path.is_file())
    return {name for name in found if "__pycache__" not in name}


def test_only_the_modules_lie_loose(modules: Path) -> None:
    # everything loose is taken for a module
    assert {path.stem for path in modules.glob("*.py*")} == {"CISFASegmentation", "CISFATraining"}


def test_the_packages_are_whole_and_compiled(modules: Path) -> None:
    libraries = ("CISFASegmentation/CISFASegmentationLib", "CISFATraining/CISFATrainingLib")
    for package in ("src/cisfa", "src/cisfa_slicer", *libraries):
        source, installed = ROOT / package, modules / Path(package).name
        scripts = files_below(source, ending=".py")
        assert files_below(installed, ending=".py") == scripts
        assert files_below(installed, ending=".pyc") == {f"{name}c" for name in scripts}


def test_the_modules_find_their_resources(modules: Path) -> None:
    theirs = [files_below(ROOT / module / "Resources") for module in ("CISFASegmentation", "CISFATraining")]
    assert files_below(modules / "Resources") == set().union(*theirs)
    for name in ("UI/CISFASegmentation.ui", "Icons/CISFATraining.png", "CISFASegmentationDemoBundle.zip"):
        assert (modules / "Resources" / name).is_file()


def test_the_build_tree_can_be_run_too(tree: Path) -> None:
    assert files_below(tree / "build" / SCRIPTED_MODULES) == files_below(tree / "installed" / SCRIPTED_MODULES)


def test_the_installed_packages_find_their_data(modules: Path) -> None:
    code = (
        "import json, cisfa, cisfa_slicer, cisfa.config_files, cisfa.imaging.organs\n"
        "names, presets = cisfa.imaging.organs.catalogue_names(), cisfa.config_files.preset_names()\n"
        "print(json.dumps([cisfa.__file__, cisfa_slicer.__file__, list(names), list(presets)]))"
    )
    core, glue, organs, presets = json.loads(answer_of_slicers_python(modules, code))
    assert Path(core).parents[1] == modules
    assert Path(glue).parents[1] == modules
    assert "liver" in organs
    assert "full" in presets
    assert (modules / "cisfa_slicer" / "requirements.txt").is_file()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "segment"),
        (["bundle", "show", "Resources/CISFASegmentationDemoBundle.zip"], "phantoms"),
    ],
)
def test_a_job_starts_from_the_installed_folder(modules: Path, words: list[str], expected: str) -> None:
    arguments = ["cisfa", *(str(modules / word) if word.startswith("Resources") else word for word in words)]
    code = (
        f"import runpy; sys.argv = {arguments!r}\n"
        "try: runpy.run_module('cisfa', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: code = end.code\n"
        "print('from', sys.modules['cisfa'].__file__, 'code', code)"
    )
    answer = answer_of_slicers_python(modules, code)
    assert expected in answer
    assert answer.splitlines()[-1] in [
        f"from {modules / 'cisfa' / '__init__.py'} code {code}" for code in ("0", "None")
    ]


def test_slicers_own_test_run_knows_our_tests(tree: Path) -> None:
    build = tree / "build"
    answer = subprocess.run(
        [tool("ctest"), "--test-dir", str(build), "--show-only=json-v1"], capture_output=True, check=True, timeout=60
    )
    tests = {test["name"] for test in json.loads(answer.stdout)["tests"]}
    assert "py_test_cisfa_segmentation" in tests
    assert "py_test_cisfa_training" in tests
    assert "py_nomainwindow_qSlicerCISFASegmentationModuleGenericTest" in tests


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("NAME Some SCRIPTS Some.py Missing.py", r"SCRIPTS) given nonexistent file or directory 'Missing.py'"),
        ("NAME Some SCRIPTS Some.py RESOURCES Missing.ui", r"RESOURCES) given nonexistent file or directory"),
        ("Some NAME Some SCRIPTS Some.py", 'Unknown keywords given to slicerMacroBuildScriptedModule(): "Some"'),
        ("SCRIPTS Some.py", "NAME is mandatory"),
    ],
)
def test_a_mistake_in_a_list_stops_the_build(tmp_path: Path, arguments: str, complaint: str) -> None:
    lines = (
        "cmake_minimum_required(VERSION 3.16.3...3.19.7)",
        "project(Some)",
        "find_package(Slicer REQUIRED)",
        "include(${Slicer_USE_FILE})",
        f"slicerMacroBuildScriptedModule({arguments})",
    )
    (tmp_path / "CMakeLists.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "Some.py").write_text("", encoding="utf-8")
    result = configure(tmp_path, tmp_path / "build")
    assert result.returncode != 0
    assert complaint in " ".join(result.stderr.split())
