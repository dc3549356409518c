"""What holds for every command there is, whoever adds it: one name and one text an option."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from sentinel.cli import app
from sentinel.cli._lists import options

#: Commands that do something and print no rows: they run until stopped, write a file, or say
#: in one line that it is done. All others have --json.
NO_ROWS = {
    *("api", "connector run", "connector test", "dashboards targets", "down", "export", "run"),
    *("sample", "up", "worker", "keys revoke", "keys rotate", "roles remove", "searches remove"),
    *("models promote", "models rollback", "models seed"),
    *(f"tenants {name}" for name in ("add", "set", "disable", "enable")),
    *(f"users {name}" for name in ("role", "disable", "enable", "unlock", "remove")),
    *("users password", "users login"),
    *(f"{group} {name}" for group in ("notify", "webhooks")
      for name in ("enable", "disable", "delete")),
}  # fmt: skip
#: Options that mean the same wherever they are.
SAME = ("--json", "--until", "--query", "--min-severity", "--follow")
#: Commands whose times are not those of a list.
SPANS = {"connector run", "models", "backtest", "reconcile"}


def leaves() -> Iterator[tuple[str, Any]]:
    """Yield every command that has no others below it, with its whole name."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        found = command.load() if isinstance(command, app.LazyCommand) else command
        for each, under in getattr(found, "commands", {}).items():
            yield from below(f"{name} {each}", under)
        if not getattr(found, "commands", {}):
            yield name, found

    for name, command in app.build().commands.items():
        yield from below(name, command)


COMMANDS = dict(leaves())


def uses(flag: str) -> dict[str, Any]:
    """Return the option of that name of each command that has it."""
    return {
        name: parameter
        for name, command in COMMANDS.items()
        for parameter in command.params
        if flag in parameter.opts
    }


def texts(flag: str, without: set[str] = frozenset()) -> dict[str, list[str]]:  # type: ignore[assignment]
    """Return the help texts of an option, each with the commands that have it."""
    found = defaultdict(list)
    for name, option in uses(flag).items():
        if not {name, name.partition(" ")[0]} & without:
            found[option.help].append(name)
    return found


def test_every_command_that_prints_rows_prints_json() -> None:
    assert COMMANDS.keys() - uses("--json").keys() == NO_ROWS


@pytest.mark.parametrize("flag", SAME)
def test_an_option_means_the_same_everywhere(flag: str) -> None:
    assert len(texts(flag, SPANS)) == 1, dict(texts(flag, SPANS))


def test_times_have_two_spellings_and_lists_one_text() -> None:
    for one, other in (("--since", "--from"), ("--until", "--to")):
        assert uses(one).keys() == uses(other).keys(), "each is an alias of the other"
        assert len(texts(one, SPANS)) == 1, dict(texts(one, SPANS))


def test_lists_filter_and_are_cut_alike() -> None:
    cut = {name for name in uses("--limit") if name.partition(" ")[0] not in SPANS}
    lists = cut | {name for name in COMMANDS if name.endswith(" list") and name != "models list"}
    for flag in ("--limit", "--tenant"):
        found = {option.help for name, option in uses(flag).items() if name in lists}
        assert len(found) == 1, found


def test_whose_it_is_has_one_text_for_what_is_listed_made_or_read() -> None:
    own = {"users", "rules check", "notify add", "webhooks create", "dashboards login"}
    assert len(texts("--tenant", own)) == 3, dict(texts("--tenant", own))


def test_what_has_names_is_completed() -> None:
    for flag in ("--source", "--min-severity"):
        patterns = {name for name in uses(flag) if name.split()[0] in {"notify", "webhooks"}}
        for name, option in uses(flag).items():
            if flag == "--source" and (name in patterns or name == "evaluate attacks"):
                continue  # patterns, and a few of the sources
            assert option._custom_shell_complete is not None, (name, flag)
    for name in ("alerts", "incidents", "alert"):
        assert uses("--status")[name]._custom_shell_complete is not None, name


def test_completions_know_sources_rules_and_states() -> None:
    assert options.sources("cloudt") == ["cloudtrail"]
    assert {"auditd", "generic", "okta"} <= set(options.sources(""))
    ids = dict(options.rules(""))
    assert len(ids) > 300
    assert all(ids.values()), "each with its title"
    assert options.among(*options.STATUSES)("in_") == ["in_progress"]
