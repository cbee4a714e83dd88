"""The model card: what a person should know before using a model, written from its manifest."""

from collections.abc import Iterator

from cisfa.bundle.manifest import Domain, Manifest, Scores


def model_card(manifest: Manifest) -> str:
    """The card as Markdown; the same for the same manifest."""
    sections = (
        ("", [f"# {manifest.name}", "", *manifest.description.splitlines()]),
        ("What it segments", _organs(manifest)),
        ("From what to what", _domains(manifest)),
        ("How it was trained", _training(manifest)),
        ("How well it does", _scores(manifest.scores)),
        ("What it is for", _intended_use(manifest)),
        ("How to use it", _how_to_use()),
        ("Licence", [manifest.licence]),
    )
    lines: list[str] = []
    for title, body in sections:
        lines += [*(["", f"## {title}", ""] if title else []), *body]
    return "\n".join(lines) + "\n"


def _organs(manifest: Manifest) -> Iterator[str]:
    if manifest.body_region is not None:
        yield f"Body region: {manifest.body_region}."
        yield ""
    yield "| label | organ | code |"
    yield "| ---: | --- | --- |"
    for organ in manifest.organs:
        codes = [code for code in (organ.type, organ.laterality) if code is not None]
        named = ", ".join(f"{code.scheme} {code.value} ({_cell(code.meaning)})" for code in codes)
        yield f"| {organ.label} | {_cell(organ.name)} | {named or 'none known'} |"


def _domains(manifest: Manifest) -> Iterator[str]:
    yield f"- Source, which experts annotated: {_domain(manifest.source)}."
    yield f"- Target, the volumes to segment: {_domain(manifest.target)}."
    size, plane = manifest.preprocessing.size, manifest.preprocessing.plane
    yield f"- It reads slices of {size} x {size} pixels (plane: {plane}); volumes are cut into them automatically."


def _domain(domain: Domain) -> str:
    return f"{domain.modality} ({domain.name}, {domain.cases} cases)"


def _training(manifest: Manifest) -> Iterator[str]:
    training = manifest.training
    yield f"- Method: {manifest.method}"
    yield f"- Cases: {training.source_cases} of the source, {training.target_cases} of the target"
    yield f"- Length: {training.steps} steps ({training.epochs} epochs) of {training.batch_size} slices"
    yield f"- Time: {training.minutes:.1f} minutes on {training.hardware}"
    yield f"- Seed: {training.seed}"
    yield f"- Model version {manifest.version}, made {manifest.created}"
    yield f"- Programs: {', '.join(f'{name} {version}' for name, version in sorted(manifest.versions.items()))}"


def _scores(scores: Scores | None) -> Iterator[str]:
    if scores is None:
        yield "It was not scored against annotations. Look at its results with care."
        return
    measures = sorted({measure for values in scores.organs.values() for measure in values})
    yield f"Means over {scores.cases} cases: {scores.scored_on}."
    yield ""
    yield f"| organ | {' | '.join(map(_cell, measures))} |"
    yield f"| --- |{' ---: |' * len(measures)}"
    for organ, values in scores.organs.items():
        cells = [f"{values[measure]:.3f}" if measure in values else "-" for measure in measures]
        yield f"| {_cell(organ)} | {' | '.join(cells)} |"


def _intended_use(manifest: Manifest) -> Iterator[str]:
    yield "Research only. It is not a medical device, was not cleared by any authority, and must not be used to"
    yield "diagnose or treat. A qualified person must check every segmentation."
    yield ""
    yield "Limits:"
    yield ""
    yield f"- It knows {manifest.target.modality} volumes like those it was adapted to. Other scanners, protocols,"
    yield "  body regions, ages and diseases can make it fail, also without any sign of it."
    yield "- Only scores on annotated cases of the target tell how well it does there; no value of training does."
    yield "- It always answers: an organ that was removed or lies outside the volume may be drawn elsewhere."


def _how_to_use() -> Iterator[str]:
    yield "- In 3D Slicer: add this bundle to the models of the module CISFA Segmentation."
    yield "- On a command line: `cisfa segment --help`."
    yield "- To see that it is whole: `cisfa bundle verify BUNDLE`."


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
