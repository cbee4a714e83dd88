"""A model's card in the panel: what a person must know before trusting it."""

import html
from collections.abc import Iterator

from slicer.i18n import tr as _

from cisfa.bundle.manifest import Manifest
from cisfa_slicer.model_library import DEMO_KEY, Model


def card_as_html(model: Model) -> str:
    """The card as rich text; whatever a bundle says is escaped, since strangers may have written it."""
    if model.manifest is None:
        return f"<b>{_('This model cannot be used.')}</b><br>{html.escape(model.problem)}"
    rows = "".join(
        f"<tr><td valign='top'><b>{html.escape(name)}</b>&nbsp;&nbsp;</td><td>{html.escape(text)}</td></tr>"
        for name, text in _rows(model, model.manifest)
    )
    warning = _("A demo: it knows drawn phantoms only, and is of no use on patients.") if model.key == DEMO_KEY else ""
    return f"<table>{rows}</table>" + (f"<p><b>{html.escape(warning)}</b></p>" if warning else "")


def _rows(model: Model, manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield _("Organs"), ", ".join(organ.name for organ in manifest.organs)
    source, target = manifest.source, manifest.target
    yield _("Adapted"), f"{source.modality} ({source.name}) → {target.modality} ({target.name})"
    if manifest.body_region:
        yield _("Region"), manifest.body_region
    training = manifest.training
    yield (
        _("Method"),
        f"{manifest.method}, {training.steps} steps, {training.source_cases} + {training.target_cases} cases",
    )
    yield _("Scores"), _scores(manifest)
    yield _("Licence"), manifest.licence
    yield _("Size"), f"{model.size_bytes / 1e6:.1f} MB"
    yield _("Version"), f"{manifest.version}, {manifest.created[:10]}"


def _scores(manifest: Manifest) -> str:
    if manifest.scores is None:
        return _("not scored against experts: look at its results with care")
    dice = [f"{organ} {values['dice']:.2f}" for organ, values in manifest.scores.organs.items() if "dice" in values]
    return f"Dice {', '.join(dice)} ({manifest.scores.cases} cases, {manifest.scores.scored_on})"
