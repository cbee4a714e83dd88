"""Finding a patient in both domains by digests of identifiers, never by the identifiers themselves. Light."""

from collections import Counter
from collections.abc import Iterable, Sequence

# a patient has a few cases; an identifier that more share, and all of them, is what an anonymiser wrote everywhere
_ONE_PATIENTS_CASES = 4

NamedKeys = tuple[str, Sequence[str]]


def patients_in_both(source: Iterable[NamedKeys], target: Iterable[NamedKeys]) -> tuple[tuple[str, str], ...]:
    """Pairs of a source and a target case of one patient, by name, each once.

    An identifier that every case of both domains has tells nobody from nobody ("ANONYMOUS") and is passed over where
    there are more than a few cases; studies and frames of reference still tell.

    Args:
        source: Names of cases with their patient's digests.
        target: Likewise.
    """
    sources, targets = list(source), list(target)
    identified = [set(keys) for _, keys in (*sources, *targets) if keys]
    counts = Counter(key for keys in identified for key in keys)
    says_nothing = {key for key, count in counts.items() if count == len(identified) and count > _ONE_PATIENTS_CASES}
    names = {key: name for name, keys in sources for key in keys if key not in says_nothing}
    return tuple(dict.fromkeys((names[key], name) for name, keys in targets for key in keys if key in names))
