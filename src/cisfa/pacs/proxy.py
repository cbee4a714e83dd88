"""The proxy that this computer was told of."""

import importlib.util
import os
import re
from urllib.parse import urlsplit

import urllib3.util
from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

from cisfa.errors import PacsError

_SCHEMES = re.compile(r"https?|socks[45][ah]?")


def require_usable_proxy(root: str) -> None:
    """Make sure that the proxy for an address, where there is one, is an address itself.

    Raises:
        PacsError: It is none; the variable is named, and its value, which may hold a password, is not.
    """
    proxy = select_proxy(root, get_environ_proxies(root))
    if not proxy:
        return
    scheme = _scheme_of(proxy)
    if scheme is None:
        raise PacsError(
            f"{_name_of(proxy, root)} is set to something that is no address of a proxy. Set it to"
            " http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT, or unset it."
        )
    if scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        raise PacsError(
            f"{_name_of(proxy, root)} names a SOCKS proxy, which needs PySocks: python -m pip install pysocks"
        )


def _scheme_of(proxy: str) -> str | None:
    """How to speak to a proxy; None where it makes no sense."""
    try:
        parsed = urllib3.util.parse_url(prepend_scheme_if_needed(proxy, "http"))
        host = parsed.host or ""
        host.encode("idna")
    except ValueError:  # urllib3's and those of odd names are ValueErrors
        return None
    scheme = (parsed.scheme or "").lower()
    return scheme if re.fullmatch(r"[\w.:%\[\]-]+", host) and _SCHEMES.fullmatch(scheme) else None


def _name_of(proxy: str, root: str) -> str:
    """The variable that it stands in."""
    names = [f"{urlsplit(root).scheme}_proxy", "all_proxy"]
    candidates = [spelt for name in names for spelt in (name.upper(), name)]
    return next((name for name in candidates if os.environ.get(name) == proxy), "The proxy of this computer's settings")
