"""Does everything that the modules call exist in Slicer? Read from the source, so that no line has to run for it."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import slicer
import vtk

from slicer_host.api import class_api, class_names, names_of

ROOT = Path(__file__).resolve().parents[2]
# newer than the list, or there under conditions that the callers ask about
NEWER = {"slicer": {"packaging", "dicomDatabase"}}
# modules of Python's, and a library of Windows', with functions in capitals
NOT_VTK = {"unittest", "winreg", "subprocess", "ctypes", "kernel"}
FILES = sorted(
    path
    for pattern in ("CISFASegmentation/**/*.py", "CISFATraining/**/*.py", "src/cisfa_slicer/**/*.py")
    for path in ROOT.glob(pattern)
)


def unknown_names(tree: ast.Module) -> list[str]:
    """Names in qt, ctk and slicer that Slicer does not have."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="qt" | "ctk" | "slicer" as space), attr=name):
                found.append((space, name))
            case ast.ImportFrom(module="qt" | "ctk" | "slicer" as space, names=aliases):
                found += [(space, alias.name) for alias in aliases]
            case ast.ImportFrom(module=str(module)) if module.startswith("slicer."):
                found.append(("slicer", module.split(".")[1]))
            case ast.Import(names=aliases):
                parts = [alias.name.split(".") for alias in aliases]
                found += [("slicer", part[1]) for part in parts if part[0] == "slicer" and len(part) > 1]
    return [
        f"{space}.{name}" for space, name in found if name not in names_of(space) and name not in NEWER.get(space, ())
    ]


def unknown_members(tree: ast.Module) -> list[str]:
    """Members named with their owner, ``qt.QProcess.NotRunning``, ``slicer.app.revision``, ``slicer.util.loadUI``."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="slicer"), attr="util"), attr=name):
                found += [] if hasattr(slicer.util, name) else [f"slicer.util.{name}"]
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=space), attr=cls), attr=name):
                api = class_api(f"{space}.{cls}")
                known = api.callables | api.unsorted | api.constants.keys() | api.writable.keys()
                if f"{space}.{cls}" in class_names() and name not in known and not name.startswith("__"):
                    found.append(f"{space}.{cls}.{name}")
    return found


def unknown_signals(tree: ast.Module) -> list[str]:
    """Signatures given to connect and disconnect that no class sends."""
    sent = all_signals()
    texts = [
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("connect", "disconnect")
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]
    return [text for text in texts if isinstance(text, str) and text.replace(" ", "") not in sent]


def unknown_methods(tree: ast.Module) -> list[str]:
    """Methods in VTK's style, ``node.GetName()``, that no class of VTK's or Slicer's has."""
    ours = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.ClassDef)}
    called = [each.func for each in ast.walk(tree) if isinstance(each, ast.Call)]
    methods = [each for each in called if isinstance(each, ast.Attribute) and re.match("[A-Z][a-z]", each.attr)]
    names = [each.attr for each in methods if ast.unparse(each.value) not in NOT_VTK]
    return [name for name in names if name not in vtk_methods() | ours]


@cache
def all_signals() -> frozenset[str]:
    return frozenset(signal for name in class_names() for signal in class_api(name).signals)


@cache
def vtk_methods() -> frozenset[str]:
    return frozenset(name for cls in vtk_classes() for name in dir(cls))


def vtk_classes() -> Iterator[type]:
    """All that begin with vtk; what they inherit from VTK comes with them."""
    for module in (slicer, vtk):
        yield from (each for name, each in vars(module).items() if name.startswith("vtk") and isinstance(each, type))


@pytest.mark.parametrize("rule", [unknown_names, unknown_members, unknown_signals, unknown_methods])
def test_the_modules_use_what_slicer_has(rule: Callable[[ast.Module], list[str]]) -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
    found = {path.relative_to(ROOT).as_posix(): rule(tree) for path, tree in trees.items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_rules_have_something_to_read() -> None:
    assert {"CISFASegmentation.py", "panel.py", "job.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize(
    ("rule", "snippet", "found"),
    [
        (unknown_names, "qt.QThread()", ["qt.QThread"]),
        (unknown_names, "from slicer import vtkMRMLNothingNode", ["slicer.vtkMRMLNothingNode"]),
        (unknown_names, "from slicer.translations import tr", ["slicer.translations"]),
        (unknown_names, "import slicer.translations", ["slicer.translations"]),
        (unknown_names, "slicer.arrayFromVolume(node)", ["slicer.arrayFromVolume"]),
        (unknown_members, "qt.QProcess.Sleeping", ["qt.QProcess.Sleeping"]),
        (unknown_members, "qt.QStandardPaths.HomePlace", ["qt.QStandardPaths.HomePlace"]),
        (unknown_members, "slicer.app.version", ["slicer.app.version"]),
        (unknown_members, "slicer.util.loadUi(path)", ["slicer.util.loadUi"]),
        (unknown_signals, "button.connect('clickd(bool)', f)", ["clickd(bool)"]),
        (unknown_signals, "process.disconnect('finished(string)')", ["finished(string)"]),
        (unknown_methods, "node.GetParentTransfromNode()", ["GetParentTransfromNode"]),
    ],
)
def test_an_unknown_name_is_found(rule: Callable[[ast.Module], list[str]], snippet: str, found: list[str]) -> None:
    assert rule(ast.parse(snippet)) == found


@pytest.mark.parametrize(
    ("rule", "snippet"),
    [
        (
            unknown_names,
            "qt.QProcess(); ctk.ctkCollapsibleButton(); slicer.app; slicer.packaging; slicer.util.loadUI()",
        ),
        (unknown_names, "from slicer import vtkMRMLScalarVolumeNode; from slicer.i18n import tr"),
        (
            unknown_members,
            "qt.QProcess.NotRunning; qt.QStandardPaths.writableLocation(a); qt.Qt.AlignRight;",
        ),
        (unknown_members, "slicer.app.revision; slicer.util.loadUI(a); slicer.mrmlScene.Clear()"),
        (unknown_signals, "process.connect('finished(int, QProcess::ExitStatus)', f); signal.connect(f)"),
        (unknown_methods, "node.GetParentTransformNode(); vtk.vtkMatrix4x4().Invert(); slicer.mrmlScene.Clear()"),
        (unknown_methods, "class A:\n  def Own(self): self.Own()"),
    ],
)
def test_a_known_name_is_let_through(rule: Callable[[ast.Module], list[str]], snippet: str) -> None:
    assert rule(ast.parse(snippet)) == []
