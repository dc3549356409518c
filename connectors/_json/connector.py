"""The frame of a connector whose events are JSON objects.

A subclass names the fields it reads and says two things of an event: its columns
(`JsonConnector.columns_of`) and the OCSF objects of its class (`JsonConnector.objects`).
Everything else, from cutting up messages to the leftover fields, is the same for all.

Example: `connectors/okta.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._json.decoder import MAX_EVENT_BYTES, JsonDecoder, View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields, some
from connectors._json.observables import observables
from connectors.base import OCSF, Connector, Summary
from schemas.ocsf import VERSION, head, status_name

#: The field that rules of a category find an event's category in; see `detectors.fields`.
CATEGORY: Final = "@category"


class _Getters(dict[type, Mapping[str, Callable[[Any], Any]]]):
    """The getters of what a decoder returns, by its class; see `schemas.narrow`."""

    def __missing__(self, narrow: Any) -> Mapping[str, Callable[[Any], Any]]:
        found = self[narrow] = self[narrow._wide_]
        return found


class JsonConnector(Connector):
    """A source of JSON objects.

    Attributes
    ----------
    product
        OCSF ``metadata.product``: ``name`` and ``vendor_name``.
    required
        Dotted paths that every event has, with their type; without one it is a dead letter.
    reads
        Dotted paths of the optional fields that `columns_of` looks at. They and `required`
        count as mapped: what `columns_of` made of them has its place in `objects`.
    looks_into
        Dotted paths of objects that `columns_of` looks into. They do not count as mapped, but
        for what `objects` takes out of them.
    envelope
        How messages wrap events.
    profiles
        OCSF profiles that are applied.
    """

    product: ClassVar[Mapping[str, Any]]
    required: ClassVar[Mapping[str, type]] = {}
    reads: ClassVar[frozenset[str]] = frozenset()
    looks_into: ClassVar[frozenset[str]] = frozenset()
    envelope: ClassVar[Envelope] = Envelope()
    profiles: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._getters = _Getters()
        self._core = self.decoder(frozenset())

    @abstractmethod
    def columns_of(self, event: View) -> Summary:
        """Return the columns of an event; raise `MappingError` where it cannot be mapped."""

    @abstractmethod
    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return what the event's OCSF class has beyond the frame that `to_ocsf` makes.

        Every field that is looked at through `fields` counts as mapped; the others end in
        ``unmapped``. ``metadata`` may be given in part: it is merged into the frame's.
        """

    def spellings(self, field: str) -> Sequence[str]:
        """Return what else a Sigma `field` is called; see `JsonDecoder`."""
        del field
        return ()

    def category(self, event: View) -> str | list[str]:
        """Return the Sigma category of a decoded event, out of `reads`; empty: it has none.

        A rule of a category asks for its fields with the category in front (see
        `detectors.fields`): `spellings` says what ``process_creation.Image`` is here.
        """
        del event
        return ""

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the events of a message; see `connectors._json.envelope`."""
        return self.envelope.cut(value)

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder for `columns_of` and the Sigma `fields` given."""
        others = {field: paths for field in fields if (paths := self.spellings(field))}
        wanted = self.reads | self.looks_into
        made = JsonDecoder(
            str(self.product["name"]), self.required, wanted | fields, spellings=others
        )
        wanted |= self.required.keys()
        getters = {path: made.plain(path) for path in wanted}
        self._getters[made.record] = getters
        made.compute(CATEGORY, lambda event: self.category(View(event, getters)) or None)
        return made

    def decode_all(self, decoder: Any, units: Sequence[bytes]) -> Sequence[Any]:
        """Decode many events at once."""
        if max(map(len, units), default=0) > MAX_EVENT_BYTES:
            return super().decode_all(decoder, units)
        decoded: list[Any] = decoder.decode_many(units)
        return decoded

    def summarise(self, event: Any) -> Summary:
        """Return the columns of a decoded event."""
        return self.columns_of(View(event, self._getters[event.__class__]))

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one event to OCSF: the frame, `objects`, observables and what is left over."""
        summary = self.summarise(self._core.decode(unit))
        fields = Fields(unit)
        event = head(
            summary.class_uid,
            summary.activity_id,
            time=summary.time,
            severity_id=summary.severity_id,
            operation=summary.operation,
        )
        status = status_name(summary.class_uid, summary.status_id)
        event |= {"status": status, "status_id": summary.status_id}
        event |= self.objects(fields, summary)
        event["metadata"] = {
            **some(product=dict(self.product), profiles=list(self.profiles), uid=summary.native_id),
            **event.get("metadata", {}),
            "version": VERSION,
        }
        event |= some(observables=observables(event))
        return event | some(unmapped=fields.left({*self.reads, *self.required}))
