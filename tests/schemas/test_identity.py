from uuid import NAMESPACE_URL, UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import NAMESPACE, event_uid, uid_text

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
