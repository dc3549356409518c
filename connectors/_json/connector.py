"""The frame of a connector whose events are JSON objects.

A subclass names the fields it reads and says two things of an event: its columns
(`JsonConnector.columns_of`) and the OCSF objects of its class (`JsonConnector.objects`).
Everything else, from cutting up messages to the leftover fields, is the same for all.

Example: `connectors/okta.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final

from connectors._json.decoder import MAX_EVENT_BYTES, JsonDecoder, View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields, some
from connectors._json.memo import Memo, together
from connectors._json.observables import observables
from connectors._json.times import milliseconds
from connectors.base import OCSF, Columns, Connector, Summary
from schemas.ocsf import VERSION, status_name

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
    idents, times
        Dotted paths of `reads`, `looks_into` or `required`: the id of an event is the first text at
        `idents`, its time the first value at `times`, and no other column is made of them.
        Then the other columns are worked out once for events that are alike in the rest of
        `reads`; see `connectors._json.memo`. Where they say it otherwise, `own` names the
        paths that only id and time are made of, and `identity_of` returns the two. What the
        other columns need of `own` all the same, `besides` returns.
    envelope
        How messages wrap events.
    profiles
        OCSF profiles that are applied.
    """

    product: ClassVar[Mapping[str, Any]]
    required: ClassVar[Mapping[str, type]] = {}
    reads: ClassVar[frozenset[str]] = frozenset()
    looks_into: ClassVar[frozenset[str]] = frozenset()
    idents: ClassVar[tuple[str, ...]] = ()
    times: ClassVar[tuple[str, ...]] = ()
    own: ClassVar[frozenset[str]] = frozenset()
    envelope: ClassVar[Envelope] = Envelope()
    profiles: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._getters = _Getters()
        self._memos: dict[type, Memo] = {}
        self._mapped = self.reads | self.required.keys()

    @cached_property
    def _core(self) -> JsonDecoder:
        """Decodes one event; not made before there is one, which most sources never have."""
        return self.decoder(frozenset())

    @abstractmethod
    def columns_of(self, event: View) -> Summary:
        """Return the columns of an event; raise `MappingError` where it cannot be mapped."""

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return native id and time as `columns_of` does, out of `own` and what else it reads."""
        values = map(event.get, self.times)
        when = next(filter(None, values), None)
        return event.text(*self.idents) or None, milliseconds(when, self.times[0])

    def besides(self, event: View) -> Any:
        """Return what of `own` the columns other than id and time are made of; here nothing.

        Override where they are made of a little of what hardly ever comes again: whether two
        times are equal, some values of a big object.
        """
        del event

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

    def columns(self, events: Sequence[Any]) -> Columns:
        """Return the columns of decoded events; see `idents`."""
        own = self.own or frozenset({*self.idents, *self.times})
        if not own or not events:
            return super().columns(events)
        kind = getattr(events[0].__class__, "_wide_", events[0].__class__)
        memo = self._memos.get(kind)
        getters = self._getters[kind]
        if memo is None:
            memo = self._memos[kind] = Memo(self._values(kind, own, getters), self.summarise)
        found = memo.columns(events)
        if found is None:
            return super().columns(events)
        return [*self._identities(events, getters), *found]

    def _values(
        self, kind: type, own: frozenset[str], getters: Mapping[str, Callable[[Any], Any]]
    ) -> Callable[[Any], Any]:
        """Return a function from an event to all that columns but id and time are made of."""
        rest, besides = together(kind, getters.keys() - own, own, getters), self.besides
        if type(self).besides is JsonConnector.besides:
            return rest
        return lambda event: (rest(event), besides(View(event, getters)))

    def _identities(
        self, events: Sequence[Any], getters: Mapping[str, Callable[[Any], Any]]
    ) -> tuple[Sequence[str | None], Sequence[int]]:
        """Return ids and times of decoded events."""
        identity_of = self.identity_of
        if self.own:
            both = [identity_of(View(event, getters)) for event in events]
            return [ident for ident, _ in both], [when for _, when in both]
        first, label = getters[self.times[0]], self.times[0]
        times = [
            milliseconds(value, label)
            if (value := first(event))
            else identity_of(View(event, getters))[1]
            for event in events
        ]
        if not self.idents:
            return [None] * len(events), times
        first = getters[self.idents[0]]
        return [
            value
            if (value := first(event)).__class__ is str and value
            else View(event, getters).text(*self.idents) or None
            for event in events
        ], times

    def summarise(self, event: Any) -> Summary:
        """Return the columns of a decoded event."""
        return self.columns_of(View(event, self._getters[event.__class__]))

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one event to OCSF: the frame, `objects`, observables and what is left over."""
        summary = self.summarise(self._core.decode(unit))
        fields = Fields(unit)
        event = summary.head()
        status = status_name(summary.class_uid, summary.status_id)
        event |= {"status": status, "status_id": summary.status_id}
        event |= self.objects(fields, summary)
        event["metadata"] = {
            **some(product=dict(self.product), profiles=list(self.profiles), uid=summary.native_id),
            **event.get("metadata", {}),
            "version": VERSION,
        }
        event |= some(observables=observables(event))
        return event | some(unmapped=fields.left(self._mapped))
