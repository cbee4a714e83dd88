"""CISFA Segmentation: load a volume, click "Segment", get a segmentation.

Holds only what Slicer looks for in a module's file.
"""

import sys
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# in a plain checkout the packages lie beside the modules; when installed they are where Slicer looks anyway
_packages = Path(__file__).resolve().parents[1] / "src"
if _packages.is_dir() and str(_packages) not in sys.path:
    sys.path.append(str(_packages))

# what the packages are written in; Slicer 5.8 and older have 3.9, with which this file alone can be read
OLDEST_PYTHON = (3, 11)


class CISFASegmentation(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CISFA Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The SlicerCISFA authors"]
        self.parent.helpText = _(
            "Segments organs with a model that was adapted to this kind of image without any annotation of it. Choose a"
            " volume and a model, then click Segment. For research, not for diagnosis or treatment. See the <a"
            ' href="https://github.com/SlicerCISFA/SlicerCISFA">documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "The method is that of Hu, Wang and Shi: Contrastive Image Synthesis and Self-supervised Feature Adaptation"
            ' for Cross-Modality Biomedical Image Segmentation (<a href="https://arxiv.org/abs/2207.13240">'
            "arXiv:2207.13240</a>)."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)
        slicer.app.connect("startupCompleted()", watch_edits)


def register_sample_data():
    """Offer a volume in the module Sample Data that the demo model was made for; it comes with the extension."""
    from CISFASegmentationLib.sample_data import register

    register(Path(__file__).parent / "Resources")


def watch_edits():
    """Notice when results are changed by hand, also in a scene that is loaded before the module is opened."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        from CISFASegmentationLib.edit_watch import install_edit_watch

        install_edit_watch()


class CISFASegmentationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Slicer's conventions: set-up, entering and leaving, scenes that close. The panel does the rest."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self.ui = None
        self._parameters = None
        self._gui_tag = None

    def setup(self):
        """Build the panel; called once, when the module is first opened."""
        ScriptedLoadableModuleWidget.setup(self)
        if sys.version_info[:2] < OLDEST_PYTHON:
            label = qt.QLabel(_("CISFA needs Slicer 5.10 or newer: this one has an older Python than 3.11."))
            label.wordWrap = True
            self.layout.addWidget(label)
            return
        from CISFASegmentationLib.panel import SegmentationPanel

        widget = slicer.util.loadUI(self.resourcePath("UI/CISFASegmentation.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = CISFASegmentationLogic()
        self.panel = SegmentationPanel(self.ui, self.logic.segmentation)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        slicer.app.connect("aboutToQuit()", self.panel.end_now)
        self.initializeParameterNode()

    def cleanup(self):
        """The widget goes away: Slicer quits, or the module is reloaded."""
        if self.panel is None:
            return
        slicer.app.disconnect("aboutToQuit()", self.panel.end_now)
        self.panel.end_now()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """The user opens the module."""
        if self.panel is not None:
            self.initializeParameterNode()

    def exit(self):
        """The user opens another module; what is running goes on."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._gui_tag = None

    def onReload(self):
        """For developers: read the packages behind this file again too."""
        from cisfa_slicer.reload import forget_packages

        forget_packages(["CISFASegmentationLib", "cisfa_slicer", "cisfa"])
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        """The scene goes away, and with it what is being computed for it."""
        self.panel.scene_closes()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        """There is another scene: an empty one, or one that was loaded."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onNodeAdded(self, caller, event):
        """Perhaps it is the first segmentation."""
        self.panel.segmentations_changed()

    def onNodeRemoved(self, caller, event):
        """Perhaps it was the segmentation that the table tells of, or the last one."""
        self.panel.forget_deleted_result()
        self.panel.segmentations_changed()

    def initializeParameterNode(self):
        """Follow the scene's parameter node; choose the first volume when none is chosen."""
        parameters = self.logic.getParameterNode()
        if parameters.input_volume is None:
            # label maps and colour volumes are scalar volumes too
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            plain = [volume for volume in volumes if volume.GetClassName() == "vtkMRMLScalarVolumeNode"]
            parameters.input_volume = plain[0] if plain else None
        self.setParameterNode(parameters)

    def setParameterNode(self, parameters):
        """Bind the widgets to a parameter node, or to none."""
        if self._parameters is not None and self._gui_tag is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._gui_tag = None
        self._parameters = parameters
        if parameters is not None:
            # what connectGui does; but Slicer 5.8's returns no tag, and could not be undone
            widgets = {widget.property("SlicerParameterName"): widget for widget in vars(self.ui).values()}
            widgets.pop(None)
            self._gui_tag = parameters.connectParametersToGui(widgets)
        self.panel.set_parameters(parameters)


class CISFASegmentationLogic(ScriptedLoadableModuleLogic):
    """Segmenting from Python.

    Example::

        from CISFASegmentation import CISFASegmentationLogic
        node = CISFASegmentationLogic().segment(volumeNode, "model.zip")
    """

    def __init__(self):
        from cisfa_slicer.model_library import ModelLibrary
        from CISFASegmentationLib.segmentation_logic import SegmentationLogic

        ScriptedLoadableModuleLogic.__init__(self)
        resources = Path(__file__).parent / "Resources"
        library = ModelLibrary(
            resources / "CISFASegmentationDemoBundle.zip", resources / "CISFASegmentationCatalogue.json"
        )
        self.segmentation = SegmentationLogic(library)
        self._parameters = None

    def getParameterNode(self):
        """What the scene remembers of the panel."""
        from cisfa_slicer.kept_nodes import keep_for_observers
        from CISFASegmentationLib.parameters import SegmentationParameters

        node = super().getParameterNode()
        if self._parameters is None or self._parameters.parameterNode is not node:
            keep_for_observers(node)
            # one for a node, since each would observe it as long as it lives
            self._parameters = SegmentationParameters(node)
        return self._parameters

    def segment(self, volume_node, bundle="demo", **choices):
        """Segment a volume and wait; see :meth:`SegmentationLogic.segment`."""
        return self.segmentation.segment(volume_node, bundle, **choices)

    def start(self, volume_node, bundle="demo", **choices):
        """Start segmenting a volume and return at once; see :meth:`SegmentationLogic.start`."""
        return self.segmentation.start(volume_node, bundle, **choices)

    def organs(self, segmentation_node):
        """What is known of a result's organs, their quality too; see :meth:`SegmentationLogic.organs`."""
        return self.segmentation.organs(segmentation_node)

    def export_dicom_seg(self, segmentation_node, target, *, kind="binary", external_python=""):
        """Write a segmentation as DICOM SEG and wait; see :meth:`SegmentationLogic.export_dicom_seg`."""
        return self.segmentation.export_dicom_seg(segmentation_node, target, kind=kind, external_python=external_python)

    def install_requirements(self):
        """Install what is missing for segmenting into Slicer's Python, without asking."""
        self.segmentation.install_requirements()

    def install_export_requirements(self):
        """Install what is missing for exporting and sending, without asking."""
        self.segmentation.install_export_requirements()


class CISFASegmentationTest(ScriptedLoadableModuleTest):
    """What "Reload and Test" runs: the whole story on a phantom, in the real application."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run everything."""
        self.setUp()
        self.test_the_demo_model_segments_the_sample_volume()

    def test_the_demo_model_segments_the_sample_volume(self):
        """Load the sample volume, segment it with the demo model, look for the organs."""
        from CISFASegmentationLib.sample_data import load_sample

        volume = load_sample(Path(__file__).parent / "Resources")
        node = CISFASegmentationLogic().segment(volume)
        segmentation = node.GetSegmentation()
        self.assertEqual(segmentation.GetNumberOfSegments(), 4)
        for index in range(4):
            labels = slicer.vtkOrientedImageData()
            node.GetBinaryLabelmapRepresentation(segmentation.GetNthSegmentID(index), labels)
            self.assertGreater(labels.GetScalarRange()[1], 0)
        self.delayDisplay("Test passed")
