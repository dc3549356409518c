"""Where AWS puts log files in a bucket: folders of accounts, regions and days.

::

    [prefix/]AWSLogs/[o-org/]account/CloudTrail/region/YYYY/MM/DD/…
    [prefix/]AWSLogs/account/vpcflowlogs/region/YYYY/MM/DD/[HH/]…
    [prefix/]AWSLogs/aws-account-id=…/aws-service=vpcflowlogs/aws-region=…/year=…/month=…/day=…/
    [prefix/]AWSLogs/account/GuardDuty/region/YYYY/MM/DD/…
    [prefix/]YYYY/MM/DD/HH/…                          Amazon Data Firehose

A *root* is the folder above the years. What lies in a folder that has no years below is read
as one root without days.

Sources: CloudTrail User Guide, "CloudTrail log file examples" and "Organization trails"; VPC
User Guide, "Flow log files"; GuardDuty User Guide, "Exporting findings"; Firehose Developer
Guide, "Amazon S3 object name format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from connectors._reading.base import SourceError

MAX_ROOTS: Final = 8000
"""Folders of accounts and regions of one reader: its position names each."""
_DEPTH: Final = 8
_FEW: Final = 4  # days that are listed whether they are there or not
_YEAR: Final = re.compile(r"(year=)?(20\d\d)/\Z")
_ACCOUNT: Final = re.compile(r"(?:aws-account-id=)?(\d{12})\Z")
_REGION: Final = re.compile(r"(?:aws-region=)?([a-z]{2,3}(?:-[a-z]+)+-\d)\Z")
#: What AWS calls its folders, by source; of others nothing is left out.
FOLDERS: Final = {
    "cloudtrail": frozenset({"CloudTrail", "CloudTrail-Insight", "CloudTrail-NetworkActivity"}),
    "guardduty": frozenset({"GuardDuty"}),
    "vpc_flow": frozenset({"vpcflowlogs", "aws-service=vpcflowlogs"}),
}
_SERVICES: Final = frozenset(
    {"CloudTrail-Digest", "Config", "elasticloadbalancing", "WAFLogs", "route53", "vpcdnsquerylogs"}
).union(*FOLDERS.values())

Folders = Callable[[str], Sequence[str]]


class Root(NamedTuple):
    """A folder above years, or without them.

    Attributes
    ----------
    prefix
        Up to and with the last slash (or as far as a prefix without years was given).
    years
        ``""`` for ``YYYY/MM/DD/``, ``"year="`` for Hive's spelling, None without years.
    first
        The first year there is.
    """

    prefix: str
    years: str | None
    first: int = 0

    @property
    def name(self) -> str:
        """What its position is kept under: a folder may get years later."""
        return self.prefix if self.years is not None else f"{self.prefix}*"

    def day(self, day: date) -> str:
        """Return the folder of a day."""
        if self.years is None:
            return self.prefix
        if self.years:
            return f"{self.prefix}year={day.year}/month={day.month:02}/day={day.day:02}/"
        return f"{self.prefix}{day:%Y/%m/%d}/"


class Wanted(NamedTuple):
    """Which folders to go into; empty: all."""

    folders: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    def has(self, prefix: str) -> bool:
        """Return whether to go into the folder `prefix`, by its last name."""
        name = prefix.rstrip("/").rpartition("/")[2]
        if account := _ACCOUNT.match(name):
            return not self.accounts or account[1] in self.accounts
        if region := _REGION.match(name):
            return not self.regions or region[1] in self.regions
        if name in _SERVICES or name.startswith("aws-service="):
            return name in self.folders if self.folders else name != "CloudTrail-Digest"
        return True


def roots(prefix: str, below: Folders, wanted: Wanted) -> list[Root]:
    """Return the roots below `prefix`, in order of their names.

    Parameters
    ----------
    below
        From a prefix to the folders right below it, each with its slash.

    Raises
    ------
    SourceError
        There are more than `MAX_ROOTS`.
    """
    found = list(_walk(prefix, below, wanted, 0))
    if len(found) > MAX_ROOTS:
        raise SourceError(
            f"expected at most {MAX_ROOTS} folders of accounts and regions below {prefix!r}, "
            f"found {len(found)}; name accounts, regions or a longer prefix, or read by SQS"
        )
    return found


def _walk(prefix: str, below: Folders, wanted: Wanted, depth: int) -> Iterator[Root]:
    folders = below(prefix) if depth < _DEPTH else ()
    years = [match for each in folders if (match := _YEAR.match(each[len(prefix) :]))]
    if years:
        yield Root(prefix, years[0][1] or "", min(int(match[2]) for match in years))
        return
    named = "/AWSLogs/" in f"/{prefix}" or any(each.endswith("AWSLogs/") for each in folders)
    if not folders or not named:
        yield Root(prefix, None)
        return
    for each in folders:
        if wanted.has(each):
            yield from _walk(each, below, wanted, depth + 1)


def days(root: Root, first: date, last: date, below: Folders) -> Iterator[date]:
    """Yield the days from `first` to `last` that a root has; few are not asked for."""
    if (last - first).days < _FEW:
        while first <= last:
            yield first
            first += timedelta(days=1)
        return
    hive = ("year=", "month=", "day=") if root.years else ("", "", "")
    for year in _numbers(below(root.prefix), hive[0]):
        if not first.year <= year <= last.year:
            continue
        in_year = f"{root.prefix}{hive[0]}{year}/"
        for month in _numbers(below(in_year), hive[1]):
            if not (first.year, first.month) <= (year, month) <= (last.year, last.month):
                continue
            for number in _numbers(below(f"{in_year}{hive[1]}{month:02}/"), hive[2]):
                day = _date(year, month, number)
                if day is not None and first <= day <= last:
                    yield day


def _numbers(folders: Sequence[str], name: str) -> list[int]:
    """Return the numbers that folders are called, in order."""
    names = (folder.rstrip("/").rpartition("/")[2].removeprefix(name) for folder in folders)
    return sorted(int(each) for each in names if each.isdecimal())


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
