"""Which organs of a data set are wanted, and the labels that they get."""

from collections.abc import Collection, Mapping, Sequence

from cisfa.data_sets.choices import TITLES
from cisfa.errors import ConfigError
from cisfa.imaging.organs import catalogue_organ

ABDOMEN = ("liver", "right kidney", "left kidney", "spleen")


def organ_name(name: str) -> str:
    """The catalogue's name of an organ, whatever a data set calls it: ``kidney_right`` is "right kidney"."""
    return catalogue_organ(name, 1).name


def labels_of(wanted: Sequence[str], usual: Sequence[str], there: Collection[str], key: str) -> Mapping[str, int]:
    """Name to label, from 1 on in the order given.

    Args:
        wanted: As the user wrote them; none for the usual ones.
        usual: Where the user named none.
        there: The organs that the data set has, by the catalogue's names.
        key: The data set, for messages.

    Raises:
        ConfigError: An organ is unknown to the data set, or named twice.
    """
    names = [organ_name(name) for name in wanted] or list(usual)
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ConfigError(
            f"{TITLES[key]} has no organ {', '.join(unknown)}. It has {', '.join(sorted(there))}. Name some of them:"
            ' --organs "liver,spleen".'
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"--organs names {', '.join(twice)} more than once. Name every organ once.")
    return {name: label for label, name in enumerate(names, start=1)}
