"""Does the host show Qt as PythonQt does? What it lets through would fail in Slicer alone."""

import sys

import ctk
import pytest
import qt
import slicer


def test_names_that_slicer_has_not_are_refused(host):
    for namespace, name in ((qt, "QThread"), (qt, "QNothing"), (ctk, "ctkNothing"), (slicer, "qMRMLNothing")):
        with pytest.raises(AttributeError, match=rf"Slicer has no \w+\.{name}"):
            getattr(namespace, name)


def test_what_slicer_has_and_the_host_has_not_is_told_apart(host):
    with pytest.raises(AttributeError, match=r"Slicer has slicer\.qMRMLSliceWidget, this host does not"):
        _ = slicer.qMRMLSliceWidget


def test_functions_of_slicer_util_are_not_in_slicer(host):
    assert callable(slicer.util.arrayFromVolume)
    with pytest.raises(AttributeError, match="arrayFromVolume"):
        _ = slicer.arrayFromVolume


def test_unknown_members_cannot_be_read_set_or_connected(host):
    button = qt.QPushButton("a")
    with pytest.raises(AttributeError, match=r"qt\.QPushButton has no attribute 'txet'"):
        _ = button.txet
    with pytest.raises(AttributeError, match="lets nobody set it"):
        button.txet = "b"
    with pytest.raises(
        AttributeError, match=r"no signal 'clicked\(int\)' in Slicer. There is clicked\(\), clicked\(bo"
    ):
        button.connect("clicked(int)", print)
    with pytest.raises(AttributeError, match="no NoSuch"):
        _ = qt.QMessageBox.NoSuch


def test_methods_cannot_be_overwritten(host):
    with pytest.raises(AttributeError, match="lets nobody overwrite"):
        qt.QPushButton("a").setText = "b"
    with pytest.raises(AttributeError, match="lets nobody overwrite"):
        qt.QTimer().singleShot = True


def test_properties_are_attributes_and_no_methods(host):
    button = qt.QPushButton("a")
    button.text, button.enabled, button.name = "b", False, "okButton"
    assert (button.text, button.enabled, button.objectName) == ("b", False, "okButton")
    assert not callable(button.text)
    with pytest.raises(AttributeError, match="does not take None"):
        button.text = None
    with pytest.raises(AttributeError, match="cannot be set"):
        button.width = 3


def test_enumerations_are_integers_both_ways(host):
    item, label = qt.QTableWidgetItem("a"), qt.QLabel("b")
    item.setTextAlignment(int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
    label.setAlignment(0x82)
    assert (item.textAlignment(), label.alignment) == (0x82, 0x82)
    assert isinstance(qt.QMessageBox.Ok | qt.QMessageBox.Cancel, int)


def test_a_combo_box_keeps_data(host):
    combo = qt.QComboBox()
    combo.addItem("first", "key")
    combo.addItems(["second", "third"])
    assert (combo.count, combo.currentText, combo.currentData, combo.findText("third")) == (3, "first", "key", 2)


def test_classes_do_not_derive_from_each_other_as_in_pythonqt(host):
    button = qt.QPushButton("a")
    assert type(button) in (qt.QCheckBox, qt.QPushButton)
    assert isinstance(button, qt.QPushButton)
    assert not isinstance(button, qt.QWidget)
    assert button.inherits("QWidget")
    assert button.className() == "QPushButton"


def test_the_same_object_of_qts_is_the_same_in_python(host):
    widget = qt.QWidget()
    layout = qt.QVBoxLayout(widget)
    button = qt.QPushButton("a")
    button.objectName = "okButton"
    layout.addWidget(button)
    assert widget.children()[-1] is button
    assert widget.okButton == button
    assert widget.findChildren(qt.QPushButton) == (button,)
    assert widget.layout() == layout


def test_values_are_wrapped(host):
    url = qt.QUrl.fromLocalFile("/a b")
    assert url.toLocalFile() == "/a b"
    assert url == qt.QUrl("file:///a%20b")
    assert qt.QByteArray(b"ab").data() == b"ab"
    assert qt.QColor(1, 2, 3).name() == "#010203"


def test_slots_get_as_many_arguments_as_they_take(host):
    button, got = qt.QPushButton("a"), []
    button.checkable = True

    def slot_with_default(checked="default", more="none"):
        got.append((checked, more))

    button.connect("clicked(bool)", got.append)
    button.connect("clicked(bool)", lambda: got.append("no argument"))
    button.connect("clicked(bool)", slot_with_default)
    button.clicked.connect(lambda checked: got.append(checked))
    button.click()
    assert got == [True, "no argument", (True, "none"), True]


def test_a_disconnected_slot_is_not_called(host):
    button, got = qt.QPushButton("a"), []
    button.connect("clicked()", got.append)
    assert button.disconnect("clicked()", got.append)
    assert not button.disconnect("clicked()", got.append)
    button.click()
    assert got == []


def test_blocked_signals_stay_away(host):
    combo, got = qt.QComboBox(), []
    combo.connect("currentIndexChanged(int)", got.append)
    combo.blockSignals(True)
    combo.addItem("a")
    combo.blockSignals(False)
    combo.addItem("b")
    combo.currentIndex = 1
    assert got == [1]


def test_functions_are_taken_by_connect_alone(host):
    with pytest.raises(TypeError, match="only takes those in connect"):
        qt.QMenu().addAction("a", lambda: None)


def test_an_error_in_a_slot_is_collected(host):
    button = qt.QPushButton("a")
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    with pytest.raises(ZeroDivisionError):
        host.process_events()
    button.click()
    assert [type(error) for error in host.take_slot_errors()] == [ZeroDivisionError]


def test_several_errors_are_all_told(host):
    button = qt.QPushButton("a")
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: {}["a"])
    button.click()
    with pytest.raises(BaseExceptionGroup, match="errors in slots"):
        host.raise_slot_errors()


def test_an_error_in_an_observer_is_collected(host):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    node.AddObserver("ModifiedEvent", lambda caller, event: 1 / 0)
    node.Modified()
    with pytest.raises(ZeroDivisionError):
        host.raise_slot_errors()


def test_timers_run(host):
    timer, got = qt.QTimer(), []
    timer.setSingleShot(True)
    timer.interval = 1
    timer.connect("timeout()", lambda: got.append("own"))
    timer.start()
    qt.QTimer.singleShot(0, lambda: got.append("static"))
    host.spin_until(lambda: len(got) == 2, "both timers have run")


def test_waiting_in_vain_fails_with_a_sentence(host):
    with pytest.raises(AssertionError, match=r"Not within 0.01 s: the moon is blue\."):
        host.spin_until(lambda: False, "the moon is blue", timeout_s=0.01)


def test_a_child_process_speaks_through_signals(host):
    process, environment, heard, ends = qt.QProcess(), qt.QProcessEnvironment.systemEnvironment(), [], []
    environment.insert("GREETING", "hello")
    process.setProcessEnvironment(environment)
    process.connect("readyReadStandardOutput()", lambda: heard.append(process.readAllStandardOutput().data()))
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ends.append((code, status)))
    process.start(sys.executable, ["-c", "import os, sys; print(os.environ['GREETING']); sys.exit(3)"])
    assert process.state() != qt.QProcess.NotRunning
    host.spin_until(lambda: ends, "the child ends")
    assert ends == [(3, qt.QProcess.NormalExit)]
    assert b"".join(heard).strip() == b"hello"


def test_a_program_that_is_not_there_is_an_error(host):
    process, errors = qt.QProcess(), []
    process.connect("errorOccurred(QProcess::ProcessError)", errors.append)
    process.start("no-such-program-anywhere", [])
    host.spin_until(lambda: errors, "the error comes")
    assert errors == [qt.QProcess.FailedToStart]


def test_an_event_loop_waits(host):
    loop = qt.QEventLoop()
    qt.QTimer.singleShot(1, loop.quit)
    loop.exec_()


def test_overriding_what_qt_calls_is_refused_where_it_would_not_be_called(host):
    with pytest.raises(NotImplementedError, match=r"would not call Mine\.keyPressEvent"):

        class Mine(qt.QWidget):
            def keyPressEvent(self, event):
                """Never called."""


def test_a_class_that_derives_from_qts_may_keep_attributes(host):
    class Mine(qt.QObject):
        def __init__(self):
            qt.QObject.__init__(self)
            self.count = 3

    assert Mine().count == 3
