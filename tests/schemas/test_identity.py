from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns.records import Texts
from schemas.identity import NAMESPACE, event_uid, event_uids, uid_text

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def test_namespace_is_what_its_comment_says():
    assert uuid5(NAMESPACE_URL, "https://sentinel.invalid/event") == NAMESPACE


@given(NAMES, NAMES, st.text(st.characters(exclude_categories=["Cs"])))
def test_event_uid_is_uuid5(tenant, source, native_id):
    expected = uuid5(NAMESPACE, f"{tenant}\0{source}\0{native_id}")
    uid = event_uid(tenant, source, native_id)
    assert UUID(bytes=uid) == expected
    assert uid_text(uid) == str(expected)


def test_names_do_not_run_together():
    assert event_uid("a", "bc", "d") != event_uid("ab", "c", "d")


def test_a_lone_surrogate_is_no_crash():
    assert len(event_uid("t", "s", "\ud800")) == 16


IDENTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.lists(st.tuples(st.sampled_from(["a", "tenant"]), IDENTS), min_size=1), NAMES)
def test_many_at_once_are_as_one_by_one(made, source):
    tenants, idents = zip(*made, strict=True)
    one_by_one = [event_uid(tenant, source, ident) for tenant, ident in made]
    encoded = [ident.encode() for ident in idents]
    joined = np.frombuffer(b"".join(encoded), np.uint8)
    texts = Texts(joined, np.cumsum([len(each) for each in encoded]))
    for native in (idents, texts):
        assert list(map(bytes, event_uids(tenants, source, native))) == one_by_one
