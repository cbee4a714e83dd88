"""Do the host's CTK and MRML widgets, .ui files and parameter nodes behave as Slicer's?"""

import enum
from typing import Annotated

import ctk
import pytest
import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

UI = """<?xml version="1.0"?><ui version="4.0"><class>Panel</class>
<widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout" name="layout">
 <item><widget class="ctkCollapsibleButton" name="section">
  <property name="text"><string>Section</string></property>
  <property name="collapsed"><bool>true</bool></property>
  <layout class="QVBoxLayout" name="inner"><item><widget class="QLabel" name="inside"/></item></layout></widget></item>
 <item><widget class="qMRMLNodeComboBox" name="connectedSelector">
  <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
  <property name="showChildNodeTypes"><bool>false</bool></property>
  <property name="noneEnabled"><bool>true</bool></property>
  <property name="SlicerParameterName" stdset="0"><string>volume</string></property></widget></item>
 <item><widget class="qMRMLNodeComboBox" name="forgottenSelector"/></item>
 <item><widget class="QSpinBox" name="countBox">
  <property name="SlicerParameterName" stdset="0"><string>count</string></property></widget></item>
 <item><widget class="QComboBox" name="deviceSelector">
  <property name="SlicerParameterName" stdset="0"><string>device</string></property></widget></item>
 <item><widget class="QCheckBox" name="shownBox">
  <property name="SlicerParameterName" stdset="0"><string>is_shown</string></property></widget></item>
 <item><widget class="ctkPathLineEdit" name="pathEdit"><property name="filters">
  <set>ctkPathLineEdit::Files|ctkPathLineEdit::Readable</set></property></widget></item>
</layout></widget>
<customwidgets><customwidget><class>qMRMLWidget</class><extends>QWidget</extends><container>1</container></customwidget>
<customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><container>1</container></customwidget>
<customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends></customwidget>
<customwidget><class>ctkPathLineEdit</class><extends>QWidget</extends></customwidget></customwidgets>
<connections><connection><sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>connectedSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@parameterNodeWrapper
class Parameters:
    volume: vtkMRMLScalarVolumeNode
    volumes: list[vtkMRMLScalarVolumeNode]
    colour: Colour = Colour.BLUE
    count: Annotated[int, WithinRange(1, 9)] = 4
    device: Annotated[str, Choice(["auto", "cpu"])] = "auto"
    is_shown: bool = False
    weight: float = 0.5


@pytest.fixture
def panel(host, tmp_path):
    file = tmp_path / "Panel.ui"
    file.write_text(UI, encoding="utf-8")
    return slicer.util.loadUI(str(file))


@pytest.fixture
def ui(panel):
    widgets = slicer.util.childWidgetVariables(panel)
    panel.setMRMLScene(slicer.mrmlScene)
    return widgets


@pytest.fixture
def parameters(host):
    return Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def add_volume(name, kind="vtkMRMLScalarVolumeNode"):
    return slicer.mrmlScene.AddNewNodeByClass(kind, name)


def test_a_ui_file_gives_wrapped_widgets_by_name(ui):
    assert type(ui.connectedSelector) is slicer.qMRMLNodeComboBox
    assert type(ui.section) is ctk.ctkCollapsibleButton
    assert ui.connectedSelector.property("SlicerParameterName") == "volume"
    assert ui.connectedSelector.SlicerParameterName == "volume"
    assert ui.connectedSelector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert ui.section.collapsed
    assert ui.pathEdit.filters == ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Readable


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("mrmlSceneChanged(vtkMRMLScene*)", "sceneChanged(vtkMRMLScene*)", "has no signal"),
        ("<receiver>connectedSelector", "<receiver>lostSelector", "lostSelector, which it does not contain"),
        ("<slot>setMRMLScene", "<slot>setScene", "has no such slot"),
        ("<class>ctkPathLineEdit", "<class>ctkPathLineEdits", "wants a ctkPathLineEdits"),
    ],
)
def test_mistakes_in_a_ui_file_are_told(host, tmp_path, before, after, problem):
    file = tmp_path / "Panel.ui"
    file.write_text(UI.replace(before, after), encoding="utf-8")
    with pytest.raises(AttributeError, match=problem):
        slicer.util.loadUI(str(file))


def test_only_who_is_connected_gets_the_scene(ui):
    volume = add_volume("A")
    assert ui.connectedSelector.nodeCount() == 1
    assert (ui.forgottenSelector.mrmlScene(), ui.forgottenSelector.enabled) == (None, False)
    ui.connectedSelector.setCurrentNode(volume)
    assert ui.connectedSelector.currentNode() is volume


def test_a_selector_follows_the_scene(ui):
    got, selector = [], ui.connectedSelector
    selector.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    selector.connect("currentNodeChanged(bool)", got.append)
    first = add_volume("A")
    add_volume("labels", "vtkMRMLLabelMapVolumeNode")
    assert (selector.currentNode(), selector.nodeCount()) == (None, 1)
    selector.setCurrentNodeID(first.GetID())
    assert got == [first, True]
    hidden = add_volume("hidden")
    hidden.HideFromEditorsOn()
    assert selector.nodeCount() == 1
    slicer.mrmlScene.Clear()
    assert (selector.nodeCount(), selector.currentNode(), selector.currentNodeID) == (0, None, "")


def test_a_selector_without_none_takes_the_first_node(host):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    volume = add_volume("A")
    assert selector.currentNode() is volume
    selector.baseName, got = "New", []
    selector.connect("nodeAddedByUser(vtkMRMLNode*)", got.append)
    assert selector.addNode() is selector.currentNode()
    assert got == [selector.currentNode()]


def test_nodes_can_be_checked(host):
    selector, got = slicer.qMRMLCheckableNodeComboBox(), []
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    first, second = add_volume("A"), add_volume("B")
    selector.connect("checkedNodesChanged()", lambda: got.append(selector.checkedNodes()))
    selector.setCheckState(second, qt.Qt.Checked)
    assert got == [(second,)]
    assert selector.uncheckedNodes() == (first,)


def test_a_collapsed_section_hides_its_contents(host, panel):
    panel.show()
    section, inside = panel.section, panel.section.inside
    assert not inside.visible
    low = section.sizeHint.height()
    section.click()
    assert (section.collapsed, inside.visible) == (False, True)
    assert section.sizeHint.height() > low
    section.collapsed = True
    assert not inside.visible


def test_a_path_that_is_refused_is_not_told(host):
    edit, got = ctk.ctkPathLineEdit(), []
    edit.connect("currentPathChanged(QString)", got.append)
    edit.currentPath = "/a"
    edit.currentPath = ""
    edit.nameFilters = ["Models (*.zip)"]
    edit.currentPath = "/b.txt"
    edit.currentPath = "/b.zip"
    assert got == ["/a", "/b.zip"]


def test_browsing_is_answered(host):
    edit, button = ctk.ctkPathLineEdit(), ctk.ctkDirectoryButton()
    host.dialogs.answer_next("/a", "/b", "")
    edit.browse()
    button.browse()
    edit.browse()
    assert (edit.currentPath, qt.QDir(button.directory) == qt.QDir("/b")) == ("/a", True)


def test_parameters_are_kept_in_the_node(parameters):
    volume = add_volume("A")
    parameters.volume, parameters.volumes, parameters.colour, parameters.weight = volume, [volume], Colour.RED, 0.25
    again = Parameters(parameters.parameterNode)
    assert (again.volume, again.volumes, again.colour, again.weight) == (volume, [volume], Colour.RED, 0.25)
    assert (again.count, again.device, again.is_shown) == (4, "auto", False)
    assert parameters.parameterNode.GetParameter("is_shown") == "False"
    slicer.mrmlScene.RemoveNode(volume)
    assert again.volume is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("count", 10, ValueError),
        ("count", "a", TypeError),
        ("device", "gpu", ValueError),
        ("is_shown", None, ValueError),
    ],
)
def test_wrong_values_are_refused(parameters, name, value, error):
    with pytest.raises(error):
        setattr(parameters, name, value)
    with pytest.raises(TypeError):
        parameters.volume = parameters.parameterNode


def test_the_gui_gets_the_nodes_values_and_then_both_follow(ui, parameters):
    volume = add_volume("A")
    parameters.volume, parameters.count, parameters.device = volume, 7, "cpu"
    ui.countBox.value = 2
    tag = parameters.connectGui(ui)
    assert ui.connectedSelector.currentNode() is volume
    assert (ui.countBox.value, ui.deviceSelector.currentText, ui.countBox.maximum) == (7, "cpu", 9)
    ui.countBox.value, ui.shownBox.checked, ui.deviceSelector.currentText = 3, True, "auto"
    ui.connectedSelector.setCurrentNode(None)
    assert (parameters.count, parameters.is_shown, parameters.device, parameters.volume) == (3, True, "auto", None)
    parameters.count, parameters.volume = 5, volume
    assert (ui.countBox.value, ui.connectedSelector.currentNode()) == (5, volume)
    parameters.disconnectGui(tag)
    ui.countBox.value = 8
    parameters.is_shown = False
    assert (parameters.count, ui.shownBox.checked) == (5, True)


def test_pairs_that_slicer_cannot_connect_are_refused(parameters, host):
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        parameters.connectParametersToGui({"count": qt.QLineEdit()})
    with pytest.raises(ValueError, match="no parameter cuont"):
        parameters.connectParametersToGui({"cuont": qt.QSpinBox()})


def test_reserved_names_are_refused():
    with pytest.raises(ValueError, match="reserved"):
        parameterNodeWrapper(type("Wrong", (), {"__annotations__": {"default": int}}))


def test_segments_are_listed(host):
    view = slicer.qMRMLSegmentsTableView()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    view.setSegmentationNode(node)
    node.GetSegmentation().AddEmptySegment("liver", "liver", (1.0, 0.0, 0.0))
    assert view.segmentCount == 1
