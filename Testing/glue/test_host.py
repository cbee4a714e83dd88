"""Does the host behave as the application around a module: dialogs, settings, modules, the scene?"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import qt
import slicer

HOST_FOLDER = Path(__file__).parent / "host"
MODULE = """
import qt, slicer, vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

calls = []

class {name}(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("A module")
        slicer.app.connect("startupCompleted()", lambda: calls.append("started"))

class {name}Widget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.button = qt.QPushButton("Go")
        self.layout.addWidget(self.button)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.EndCloseEvent, lambda caller, event: calls.append(self.parent.isEntered))
        slicer.app.connect("aboutToQuit()", lambda: calls.append("quits"))

    def enter(self):
        calls.append("entered")

    def exit(self):
        calls.append("left")

    def cleanup(self):
        calls.append("cleaned up")
        self.removeObservers()

class {name}Logic(ScriptedLoadableModuleLogic):
    pass
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """A module's file; each test its own, since Python imports a name once."""
    name = f"Module{abs(hash(request.node.name))}"
    file = tmp_path / f"{name}.py"
    file.write_text(MODULE.format(name=name), encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield file
    sys.modules.pop(name, None)


def calls_of(module):
    return sys.modules[module.stem].calls


def test_a_module_lives_through_what_slicer_does_to_it(host, module):
    widget = host.load_module(module)
    host.close_scene()
    host.enter(widget)
    host.close_scene()
    host.leave(widget)
    host.quit(widget)
    assert calls_of(module) == ["started", False, "entered", True, "left", "quits", "cleaned up"]


def test_a_module_is_known_to_slicer(host, module):
    widget = host.load_module(module)
    assert slicer.util.getModule(module.stem).title == "A module"
    assert Path(slicer.util.modulePath(module.stem)) == module
    assert Path(widget.resourcePath("UI/a.ui")) == module.parent / "Resources" / "UI" / "a.ui"
    assert getattr(slicer.modules, f"{module.stem}Widget") is widget
    assert getattr(slicer.modules, module.stem.lower()).path == module.as_posix()


def test_unloading_cleans_up(host, module):
    widget = host.load_module(module)
    host.unload(widget)
    assert calls_of(module) == ["started", "cleaned up"]


def test_selecting_another_module_leaves_this_one(host, module):
    host.load_module(module)
    slicer.util.selectModule(module.stem)
    slicer.util.selectModule("Volumes")
    assert calls_of(module) == ["started", "entered", "left"]
    assert slicer.util.selectedModule() == "Volumes"


def test_a_parameter_node_is_the_only_one_of_its_module_and_scene(host, module):
    host.load_module(module)
    logic = getattr(sys.modules[module.stem], f"{module.stem}Logic")()
    node = logic.getParameterNode()
    assert node is logic.getParameterNode()
    assert (node.GetSingletonTag(), node.GetAttribute("ModuleName")) == (module.stem, module.stem)
    assert logic.getAllParameterNodes() == [node]


def test_a_panel_can_be_drawn(host, module, tmp_path):
    picture = qt.QPixmap(str(host.render(host.load_module(module), tmp_path / "panel.png", width=300)))
    assert picture.width() == 300


def test_message_boxes_are_answered_and_remembered(host):
    host.dialogs.answer_next("Ok", "Cancel", "Yes", qt.QMessageBox.No)
    slicer.util.errorDisplay("It broke.")
    assert not slicer.util.confirmOkCancelDisplay("Go on?")
    assert slicer.util.confirmYesNoDisplay("Sure?")
    assert qt.QMessageBox.question(None, "Title", "Really?") == qt.QMessageBox.No
    assert host.dialogs.texts == ["It broke.", "Go on?", "Sure?", "Really?"]
    assert host.dialogs.shown[-1].title == "Title"


def test_choosing_is_answered(host):
    host.dialogs.answer_next("/a.zip", "", "second", lambda shown: shown.text)
    assert qt.QFileDialog.getOpenFileName(None, "Open", "/", "*.zip") == "/a.zip"
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == ""
    assert qt.QInputDialog.getItem(None, "Title", "Which?", ["first", "second"], 0, False) == "second"
    assert qt.QInputDialog.getText(None, "Title", "Name?") == "Name?"


def test_a_dialog_of_ones_own_is_answered(host):
    dialog, got = qt.QDialog(), []
    layout = qt.QVBoxLayout(dialog)
    layout.addWidget(qt.QLabel("Choose well."))
    dialog.connect("finished(int)", got.append)
    host.dialogs.answer_next(True)
    assert dialog.exec_() == 1
    assert (got, host.dialogs.texts) == ([1], ["Choose well."])


def test_an_unexpected_dialog_fails_even_when_its_error_is_swallowed(host):
    with pytest.raises(AssertionError, match="Delete everything"):
        slicer.util.confirmYesNoDisplay("Delete everything?")
    with pytest.raises(AssertionError, match="Delete everything"):
        host.raise_slot_errors()


def test_an_answer_without_a_dialog_fails(host):
    host.dialogs.answer_next("Yes")
    with pytest.raises(AssertionError, match="never came"):
        host.dialogs.require_all_used()


def test_a_button_that_is_not_there_cannot_be_the_answer(host):
    host.dialogs.answer_next("Retry")
    with pytest.raises(AssertionError, match="no button 'Retry'"):
        slicer.util.confirmYesNoDisplay("Sure?")


def test_settings_last_one_test(host):
    settings = slicer.app.userSettings()
    assert settings.allKeys() == ()
    settings.setValue("A/b", "c")
    assert (settings.value("A/b"), settings.contains("A/b"), settings.value("A/x")) == ("c", True, None)
    settings.remove("A/b")
    assert not settings.contains("A/b")
    settings.setValue("left", "behind")


def test_settings_of_another_test_are_gone(host):
    assert slicer.app.userSettings().allKeys() == ()
    assert qt.QSettings().allKeys() == ()


def test_the_application_says_what_slicer_says(host):
    assert slicer.app.applicationName == "Slicer"
    assert slicer.app.applicationVersion.split(".") == [str(slicer.app.majorVersion), str(slicer.app.minorVersion), "0"]
    assert Path(slicer.app.temporaryPath).is_dir()
    assert not slicer.app.testingEnabled()
    assert slicer.util.startupEnvironment().keys() >= {"PATH"}
    with pytest.raises(AttributeError, match="no attribute 'version'"):
        _ = slicer.app.version
    with pytest.raises(AssertionError, match="asked to quit"):
        slicer.util.exit()


def test_opened_addresses_are_remembered(host):
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile("/a"))
    assert host.opened_urls == ["file:///a"]


def test_the_clipboard_works(host):
    qt.QApplication.clipboard().setText("copied")
    assert qt.QApplication.clipboard().text() == "copied"


def test_nodes_are_in_the_hierarchy_with_default_colours(host):
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "A")
    volume.CreateDefaultDisplayNodes()
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert hierarchy.GetItemName(hierarchy.GetItemByDataNode(volume)) == "A"
    assert volume.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeGrey"
    slicer.mrmlScene.RemoveNode(volume)
    assert hierarchy.GetItemByDataNode(volume) == 0


def test_the_scene_of_another_test_is_gone(host):
    assert slicer.util.getNodesByClass("vtkMRMLVolumeNode") == []
    assert slicer.modules.segmentations.logic().GetMRMLScene() is slicer.mrmlScene
    assert slicer.app.mrmlScene() is slicer.mrmlScene


def test_packaging_comes_when_asked_for(host):
    assert importlib.util.find_spec("slicer.packaging") is None
    packaging = host.use_packaging()
    assert importlib.util.find_spec("slicer.packaging") is not None
    from slicer.packaging import pip_ensure

    pip_ensure(["a>=1"], prompt_install=False)
    assert packaging.asked == [(["a>=1"], {"prompt_install": False})]


def test_packaging_is_gone_again_and_pip_is_not_called(host):
    assert importlib.util.find_spec("slicer.packaging") is None
    with pytest.raises(AssertionError, match="did not expect"):
        slicer.util.pip_install("a")
    assert host.pip_asked == ["a"]


def test_sample_data_is_registered(host):
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(category="C", sampleName="S")
    assert host.samples == [{"category": "C", "sampleName": "S"}]
    with pytest.raises(TypeError, match="knows no thumbnail"):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(thumbnail="a.png")


def test_pytest_fails_a_test_whose_slot_failed(tmp_path):
    """In a pytest of its own."""
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(HOST_FOLDER)!r})\nfrom slicer_host.pytest_plugin import *\n",
        encoding="utf-8",
    )
    (tmp_path / "test_it.py").write_text(
        "import qt\n"
        "def test_slot(host):\n    b = qt.QPushButton('a')\n    b.connect('clicked()', lambda: 1 / 0)\n    b.click()\n"
        "def test_fine(host):\n    pass\n"
        "def test_unused(host):\n    host.dialogs.answer_next('Yes')\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, timeout=120)
    assert "1 failed, 2 passed, 1 error" in ended.stdout, ended.stdout + ended.stderr
    assert "ZeroDivisionError" in ended.stdout
    assert "never came" in ended.stdout
