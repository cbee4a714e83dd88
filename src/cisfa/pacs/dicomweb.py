"""Questions to a DICOMweb service, with what can go wrong said in words.

dicomweb-client does the talking. It repeats requests by itself, after every error and with a body that is used up by
then, so that is switched off: here reading is repeated, and storing never is.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from cisfa.errors import PacsError
from cisfa.events import Notice, Progress, Report
from cisfa.pacs.address import DicomWebService, SeriesAddress
from cisfa.pacs.credentials import find_credentials
from cisfa.pacs.damage import UNREADABLE
from cisfa.pacs.patience import Patience
from cisfa.pacs.refusals import RefusedError, refusal_of, trouble_of
from cisfa.pacs.watch import Watch
from cisfa.pacs.web_session import ConnectionLostError, WebSession

# small enough that a slow line passes each within the time for a connection, which is what requests grants
_CHUNK_BYTES = 1 << 16
_ANY_SYNTAX = (("application/dicom", "*"),)
_SOP_INSTANCE_UID, _SERIES_INSTANCE_UID, _SERIES_SIZE = "00080018", "0020000E", "00201209"
_UNAUTHORIZED = 401
# a question that every service answers quickly, one that heeds no limit too
_NO_STUDY = "2.25.1"
_Found = TypeVar("_Found")


class DicomWeb:
    """A conversation with one service.

    Args:
        service: Which.
        report: Hears of lost connections; what it raises ends the conversation.
        patience: How long an answer may take.

    Raises:
        PacsError: Credentials or certificates that this computer was told of cannot be used.
    """

    def __init__(self, service: DicomWebService, report: Report, patience: Patience) -> None:
        self.service = service
        self._report, self._patience = report, patience
        self._watch = Watch(report, Progress("asking the PACS", 0.0))
        self._session = WebSession(service, find_credentials(service), patience)
        self._client = DICOMwebClient(
            url=service.root,
            session=self._session,
            chunk_size=_CHUNK_BYTES,
            permissive_uid=True,
            timeout=(patience.connect_s, patience.read_s),
        )
        self._client.set_http_retry_params(retry=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def say(self, progress: Progress) -> None:
        """Report how far the work is; it is repeated while an answer is waited for, so that it can be cancelled."""
        self._watch.say(progress)

    def patiently(self, work: Callable[[], _Found]) -> _Found:
        """Do what only reads, again where the connection was lost.

        Raises:
            PacsError: It was lost every time.
        """
        waits_s = list(self._patience.waits_s)
        while True:
            try:
                return work()
            except ConnectionLostError as error:
                if not waits_s or not error.is_worth_a_try:
                    raise PacsError(self._cannot_connect(error)) from error
                wait_s = waits_s.pop(0)
                self._report(
                    Notice(f"The connection to {self.service.place} failed ({error}). Trying again in {wait_s:g} s.")
                )
                self.wait(wait_s)

    def wait(self, seconds: float) -> None:
        """Wait, in a way that can be cancelled."""
        self._watch.wait(seconds)

    def require_answer(self) -> None:
        """Make sure that the service is there and lets us in; one that cannot be searched may still be stored into.

        Raises:
            PacsError: It is not, or does not.
        """
        filters = {"StudyInstanceUID": _NO_STUDY}
        try:
            self.patiently(
                lambda: self._ask(
                    "say whether it is there", lambda: self._client.search_for_studies(limit=1, search_filters=filters)
                )
            )
        except RefusedError as error:
            if error.code == _UNAUTHORIZED:
                raise

    def count_of(self, address: SeriesAddress) -> int:
        """How many instances a series has; 0 where there is no such series.

        Raises:
            PacsError: The service refuses, or answers with something else.
            ConnectionLostError: It does not answer.
        """
        filters = {"SeriesInstanceUID": address.series_uid}

        def count() -> int:
            found = self._client.search_for_series(
                address.study_uid, fields=["NumberOfSeriesRelatedInstances"], search_filters=filters
            )
            series = [each for each in found if _value_of(each, _SERIES_INSTANCE_UID) == address.series_uid]
            if not series:
                return 0
            counted = _value_of(series[0], _SERIES_SIZE)
            if counted is not None:
                return int(counted)
            return len(self._client.retrieve_series_metadata(address.study_uid, address.series_uid))

        return self._ask("look for the series", count)

    def instances_of(self, address: SeriesAddress) -> Iterator[Dataset]:
        """A series' instances as they come, encoded as they are stored.

        Raises:
            PacsError: The service refuses, or answers with something else.
            ConnectionLostError: It does not answer, or stops in the middle.
        """
        wish = "hand out the series"
        instances: Iterator[Dataset] = self._ask(
            wish,
            lambda: self._client.iter_series(address.study_uid, address.series_uid, media_types=_ANY_SYNTAX),
        )
        while (instance := self._ask(wish, lambda: next(instances, None))) is not None:
            yield instance

    def has_instance(self, study_uid: str, instance_uid: str) -> bool:
        """Whether an instance is stored.

        Raises:
            PacsError: The service refuses to say.
            ConnectionLostError: It does not answer.
        """
        filters = {"SOPInstanceUID": instance_uid}

        def is_found() -> bool:
            found = self._client.search_for_instances(study_uid, search_filters=filters)
            # a service that heeds no filter answers with everything
            return any(_value_of(each, _SOP_INSTANCE_UID) == instance_uid for each in found)

        return self._ask("look for the file", is_found)

    def store(self, instance: Dataset) -> Dataset:
        """Store an instance: once, whatever comes of it.

        Returns:
            What the service says about it, a STOW-RS response; empty where it says nothing.

        Raises:
            PacsError: The service refuses.
            ConnectionLostError: No answer came; whether it is stored is unknown.
        """

        def store() -> Dataset:
            try:
                answer: Dataset = self._client.store_instances([instance])
            except requests.HTTPError as error:
                # some services say so of a file that they refuse, and why in the body
                if error.response is None or error.response.status_code not in (400, 409):
                    raise
                said = _dataset_of(error.response)
                if said is None:
                    raise
                return said
            return answer

        return self._ask("store the file", store)

    def _ask(self, wish: str, question: Callable[[], _Found]) -> _Found:
        # the filters of warnings are everybody's: a thread that was given up must not put them back at some time
        with self._in_words(wish):
            return self._watch.over(question, self._session.give_up)

    @contextmanager
    def _in_words(self, wish: str) -> Iterator[None]:
        """Say what goes wrong inside as PacsError or ConnectionLostError."""
        with warnings.catch_warnings():
            # what pydicom finds odd about an answer may have a patient's name in it
            warnings.simplefilter("ignore")
            try:
                yield
            except requests.HTTPError as error:
                code, reason = (
                    (0, "") if error.response is None else (error.response.status_code, error.response.reason)
                )
                raise refusal_of(code, reason, wish, self.service) from error
            except requests.JSONDecodeError as error:
                raise self._is_something_else(wish) from error
            except requests.RequestException as error:
                raise trouble_of(error, self.service, self._patience) from error
            except (InvalidDicomError, *UNREADABLE) as error:
                raise self._is_something_else(wish) from error

    def _is_something_else(self, wish: str) -> PacsError:
        return PacsError(
            f"{self.service.place} was asked to {wish}, and answers with something that is not DICOMweb, or damaged."
            f" Check the path of the address, now {self.service.root}: it often ends in /dicom-web or /dicomweb."
        )

    def _cannot_connect(self, error: ConnectionLostError) -> str:
        place = self.service.place
        how = "failed again and again" if error.is_worth_a_try else "failed"
        return (
            f"The connection to {place} {how} ({error}). Check the address, that the PACS is running, and that this"
            f" computer's proxy (HTTPS_PROXY) and firewall let it reach {place}; then try again."
        )


def _value_of(found: dict[str, Any], tag: str) -> str | None:
    """The first value of an attribute in DICOM JSON."""
    values = found.get(tag, {}).get("Value") or [None]
    return None if values[0] is None else str(values[0])


def _dataset_of(response: requests.Response) -> Dataset | None:
    """What is said about a refused instance; None where nothing is that can be read."""
    try:
        said = Dataset.from_json(response.json())
    except UNREADABLE:
        return None
    return said if "FailedSOPSequence" in said else None
