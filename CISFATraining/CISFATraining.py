"""CISFA Training: adapt a model to a new scanner, and watch it.

Holds only what Slicer looks for in a module's file.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

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

# in a plain checkout the packages lie beside the modules; when installed they are where Slicer looks anyway
_packages = Path(__file__).resolve().parents[1] / "src"
if _packages.is_dir() and str(_packages) not in sys.path:
    sys.path.append(str(_packages))

# what the packages are written in; Slicer 5.8 and older have 3.9, with which this file alone can be read
OLDEST_PYTHON = (3, 11)


class CISFATraining(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CISFA Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The SlicerCISFA authors"]
        self.parent.helpText = _(
            "Adapts a segmentation model from annotated cases of one kind to cases of another kind that have no"
            " annotation. Add cases, say which organs to learn, start; the training goes on when Slicer is closed. For"
            ' research, not for diagnosis or treatment. See the <a href="https://github.com/SlicerCISFA/SlicerCISFA">'
            "documentation</a>."
        )
        self.parent.acknowledgementText = _(
            "The method is that of Hu, Wang and Shi: Contrastive Image Synthesis and Self-supervised Feature Adaptation"
            ' for Cross-Modality Biomedical Image Segmentation (<a href="https://arxiv.org/abs/2207.13240">'
            "arXiv:2207.13240</a>)."
        )


class CISFATrainingWidget(ScriptedLoadableModuleWidget):
    """Slicer's conventions: set-up, entering and leaving. The panel does the rest.

    Nothing here belongs to a scene, so there is no parameter node: cases and runs are those of the computer.
    """

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = None
        self.panel = None
        self.ui = None

    def setup(self):
        """Build the panel; called once, when the module is first opened."""
        ScriptedLoadableModuleWidget.setup(self)
        if sys.version_info[:2] < OLDEST_PYTHON:
            label = qt.QLabel(_("CISFA needs Slicer 5.10 or newer: this one has an older Python than 3.11."))
            label.wordWrap = True
            self.layout.addWidget(label)
            return
        from CISFATrainingLib.panel import TrainingPanel

        self.ui = self._load_tabs()
        self.logic = CISFATrainingLogic()
        self.panel = TrainingPanel(self.ui, self.logic.training)
        slicer.app.connect("aboutToQuit()", self.panel.end_now)
        if self.parent.isEntered:  # after a reload, Slicer does not enter again
            self.panel.enter()

    def _load_tabs(self):
        """Each tab from its file; returns the widgets of all of them by name."""
        tabs = qt.QTabWidget()
        self.layout.addWidget(tabs)
        widgets = {"tabs": tabs}
        titles = {"Cases": _("Cases"), "Organs": _("Organs"), "Start": _("Train"), "Runs": _("Runs"), "Log": _("Log")}
        for name, title in titles.items():
            widget = slicer.util.loadUI(self.resourcePath(f"UI/CISFATraining{name}.ui"))
            tabs.addTab(widget, title)
            widgets.update(vars(slicer.util.childWidgetVariables(widget)))
            if name == "Cases":
                widget.setMRMLScene(slicer.mrmlScene)
        return SimpleNamespace(**widgets)

    def cleanup(self):
        """The widget goes away: Slicer quits, or the module is reloaded."""
        if self.panel is None:
            return
        slicer.app.disconnect("aboutToQuit()", self.panel.end_now)
        self.panel.exit()
        self.panel.end_now()

    def enter(self):
        """The user opens the module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """The user opens another module; what is training goes on."""
        if self.panel is not None:
            self.panel.exit()

    def onReload(self):
        """For developers: read the packages behind this file again too."""
        from cisfa_slicer.reload import forget_packages

        forget_packages(["CISFATrainingLib", "cisfa_slicer", "cisfa"])
        ScriptedLoadableModuleWidget.onReload(self)


class CISFATrainingLogic(ScriptedLoadableModuleLogic):
    """Training from Python.

    Example::

        from CISFATraining import CISFATrainingLogic
        logic = CISFATrainingLogic().training
        logic.store.load(Path("cases.json"))
        folder = logic.start(RunPlan("CT to MR", logic.store.cases, compose(preset="quick")))
        logic.look_at(folder).state
    """

    def __init__(self):
        from cisfa_slicer.model_library import ModelLibrary
        from CISFATrainingLib.training_logic import TrainingLogic

        ScriptedLoadableModuleLogic.__init__(self)
        # the demo bundle is CISFA Segmentation's; here the library is only the place where bundles go
        self.training = TrainingLogic(ModelLibrary(Path(), Path()))


class CISFATrainingTest(ScriptedLoadableModuleTest):
    """What "Reload and Test" runs: the panel comes up and finds the runs of this computer."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run everything."""
        self.setUp()
        self.test_the_panel_lists_the_runs_of_this_computer()

    def test_the_panel_lists_the_runs_of_this_computer(self):
        """Open the module, look for a row for each run."""
        slicer.util.selectModule("CISFATraining")
        widget = slicer.modules.CISFATrainingWidget
        self.assertEqual(widget.ui.runTable.rowCount, len(widget.logic.training.runs.runs()))
        self.delayDisplay("Test passed")
