"""What may be asked about: nothing private, nothing that carries secrets, in one spelling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.opinions.services.base import KINDS
from streams.opinions.values import Asked, values

EVERY = frozenset(KINDS)


def observed(*found):
    return [{"observables": [{"type_id": kind, "value": value} for kind, value in found]}]


def test_each_kind_in_one_spelling():
    event = observed(
        (2, "9.9.9.9"), (2, "2620:FE::fe"), (1, "Bad.Dynamic-Site.ORG."),
        (8, "SHA256:" + "AB" * 32), (8, "d41d8cd98f00b204e9800998ecf8427e"), (2, "9.9.9.9"),
    )  # fmt: skip
    assert values(event, EVERY, (), 10) == [
        Asked("ip", "9.9.9.9"), Asked("ip", "2620:fe::fe"), Asked("domain", "bad.dynamic-site.org"),
        Asked("hash", "ab" * 32), Asked("hash", "d41d8cd98f00b204e9800998ecf8427e"),
    ]  # fmt: skip


def test_nothing_private_is_asked_about():
    event = observed(
        *((2, ip) for ip in ("10.0.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd00::1")),
        *((2, ip) for ip in ("169.254.169.254", "::ffff:10.0.0.1", "203.0.113.9", "100.64.0.1")),
        (2, "64:ff9b::a00:1"),
        *((1, name) for name in ("db01", "vault.corp", "x.svc.cluster.local", "a.b.internal")),
        (6, "https://token@bad.dynamic-site.org/reset?key=1"), (4, "ada"), (5, "ada@example.com"),
    )  # fmt: skip
    assert values(event, EVERY, (), 100) == []


def test_domains_only_where_asked_for_and_ones_own_never():
    event = observed((1, "a.ours.org"), (1, "ours.org"), (1, "theirs.org"), (2, "9.9.9.9"))
    assert values(event, frozenset({"ip"}), (), 10) == [Asked("ip", "9.9.9.9")]
    never = (".ours.org", "9.9.9.9", "2620:fe::/48")
    assert values(event, EVERY, never, 10) == [Asked("domain", "theirs.org")]


LEAF = st.none() | st.booleans() | st.integers(-1, 9) | st.text(max_size=12)
OBSERVABLE = st.fixed_dictionaries({}, optional={"type_id": LEAF, "value": LEAF}) | LEAF


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "observables": st.lists(OBSERVABLE, max_size=4) | LEAF,
            "src_endpoint": st.fixed_dictionaries({}, optional={"ip": LEAF}) | LEAF,
        },
    )
)
def test_any_event_can_be_looked_at(event):
    for kind, value in values([event], EVERY, (), 5):
        assert kind in EVERY
        assert value == value.lower()
