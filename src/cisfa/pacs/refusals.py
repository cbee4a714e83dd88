"""What a DICOMweb service's status, or a broken connection to it, means for the user.

No sentence repeats what a library says about a request: that could hold an address with a password in it.
"""

import ssl
from collections.abc import Iterator

import requests

from cisfa.errors import PacsError
from cisfa.pacs.address import DicomWebService
from cisfa.pacs.credentials import HOST, PASSWORD, TOKEN, USER, how_to_keep
from cisfa.pacs.patience import Patience
from cisfa.pacs.plain_words import plain
from cisfa.pacs.web_session import ConnectionLostError

# request timeout, too early, too many requests, and a gateway whose server is away
_PASSING = (408, 425, 429, 502, 503, 504)


class RefusedError(PacsError):
    """A service understood what it was asked, and said no.

    Attributes:
        code: HTTP's.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def refusal_of(code: int, reason: str, wish: str, service: DicomWebService) -> Exception:
    """The error for a status other than success.

    Args:
        code: Of HTTP.
        reason: The words behind it, whatever the server chose them to be.
        wish: What the service was asked to do.
        service: Which.
    """
    said = plain(f"{code} {reason}")
    if code == 407:
        return PacsError(_PROXY_REFUSES)
    if code in _PASSING:
        return ConnectionLostError(f"it answers {said}")
    return RefusedError(_refusal_in_words(code, said, wish, service), code)


def _refusal_in_words(code: int, said: str, wish: str, service: DicomWebService) -> str:
    place = service.place
    match code:
        case 401:
            return (
                f"{place} does not know this computer's user, or the password is wrong ({said}). Set {USER} and"
                f" {PASSWORD}, or {TOKEN}, in the environment ({HOST}, where it is set, must be this"
                f" host), or run: {how_to_keep(service)}"
            )
        case 403:
            return f"{place} does not let this user {wish} ({said}). Ask whoever runs the PACS for the right."
        case 404 | 410:
            return (
                f"{place} was asked to {wish}, and knows nothing at that address ({said}). Check it: the DICOMweb"
                f" service is taken to be at {service.root}."
            )
        case 413:
            return f"{place} does not take files so large ({said}). Ask whoever runs the PACS to allow them."
        case 415:
            return f"{place} does not take files of this kind ({said}). Ask whoever runs the PACS."
    return f"{place} was asked to {wish}, and answers {said}. Ask whoever runs the PACS; its log says why."


def trouble_of(error: requests.RequestException, service: DicomWebService, patience: Patience) -> Exception:
    """The error for a request that got no answer, or half of one."""
    match error:
        case requests.exceptions.ProxyError():
            return PacsError(_PROXY_REFUSES)
        case requests.exceptions.SSLError():
            return _untrusted(error, service)
        case requests.ReadTimeout():
            return ConnectionLostError(f"no answer within {patience.read_s:g} s", is_worth_a_try=False)
        case requests.ConnectTimeout():
            return ConnectionLostError(f"no connection within {patience.connect_s:g} s")
        case requests.ConnectionError() if _is_timeout(error):  # in the middle of an answer
            return ConnectionLostError(f"silence for {patience.read_s:g} s", is_worth_a_try=False)
        case requests.ConnectionError() | requests.exceptions.ChunkedEncodingError():
            return ConnectionLostError(_reason_of(error))
    return PacsError(
        f"{service.place} could not be asked ({type(error).__name__}). Check the address, now {service.root}."
    )


def _untrusted(error: requests.exceptions.SSLError, service: DicomWebService) -> PacsError:
    verification = next((each for each in _causes(error) if isinstance(each, ssl.SSLCertVerificationError)), None)
    if verification is None:
        return PacsError(
            f"{service.place} cannot be spoken to with TLS. Check the port; a PACS without TLS, which everybody on the"
            " way can listen to, has an address that begins with dicomweb+http://."
        )
    return PacsError(
        f"The certificate of {service.place} cannot be verified ({verification.verify_message}). Check this computer's"
        " date and the host's name; where the hospital signs its certificates itself, let REQUESTS_CA_BUNDLE or"
        " SSL_CERT_FILE name a file with the certificate of its authority, in PEM format."
    )


def _is_timeout(error: BaseException) -> bool:
    return any(isinstance(each, TimeoutError) for each in _causes(error))


def _reason_of(error: BaseException) -> str:
    """The operating system's words, which name no address."""
    said = [each.strerror for each in _causes(error) if isinstance(each, OSError) and each.strerror]
    return said[-1] if said else "it was cut off"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it: requests and urllib3 wrap what matters several times."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]


_PROXY_REFUSES = (
    "The proxy does not let this computer reach the PACS, or wants a name and a password. Set HTTPS_PROXY to"
    " http://NAME:PASSWORD@HOST:PORT, name the PACS in NO_PROXY where it needs none, or ask your network's"
    " administrator."
)
