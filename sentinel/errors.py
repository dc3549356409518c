"""The one tree of errors that Sentinel raises.

::

    SentinelError
    ├── SettingsError          a setting is missing, contradictory or out of range
    ├── StackError             a part of the stack did not start, stay up, or let us in
    │   └── AwayError          PostgreSQL cannot be reached now, and may be later
    ├── KafkaError             the broker refused or could not be reached
    ├── SchemaError            bytes that do not follow the schema they claim
    │   └── IncompatibleSchemaError  a schema change that would break a reader
    ├── RecordError            one record cannot be handled: it becomes a dead letter
    │   ├── DecodeError        not the format the source writes
    │   └── MappingError       decoded, but what OCSF needs is missing or absurd
    ├── RuleError              a Sigma rule that cannot be loaded, with file and reason
    └── FencedError            another worker owns the partition now: stop writing

Every message names what was expected, what was found and what to do about it.
"""

from __future__ import annotations


class SentinelError(Exception):
    """Root of all errors that Sentinel raises on purpose."""


class SettingsError(SentinelError):
    """A setting is missing, contradictory or out of range."""


class StackError(SentinelError):
    """A part of the stack did not start, did not stay up, or does not let us in."""


class AwayError(StackError):
    """PostgreSQL cannot be reached now; it may be there later."""


class KafkaError(SentinelError):
    """The broker refused a request or could not be reached."""


class SchemaError(SentinelError):
    """Bytes do not follow the schema they claim to follow."""


class IncompatibleSchemaError(SchemaError):
    """A schema change would break a reader that is already deployed."""


class RecordError(SentinelError):
    """One record cannot be handled; it becomes a dead letter with `reason`.

    Parameters
    ----------
    reason
        Short machine-readable word, the metric label and dead-letter header,
        such as ``"json"`` or ``"missing_field"``. Lower case, no spaces.
    detail
        One sentence for a person: expected, found, what to do.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class DecodeError(RecordError):
    """The bytes are not in the format the source writes."""


class MappingError(RecordError):
    """The record decoded, but something OCSF needs is missing or absurd."""


class RuleError(SentinelError):
    """A Sigma rule cannot be loaded; carries the file and the reason."""


class FencedError(SentinelError):
    """Another worker owns this partition now; this one must stop writing to it."""
