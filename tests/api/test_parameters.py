"""A parameter that a path does not have is refused: a filter with a typing error finds all."""

from __future__ import annotations


async def test_an_unknown_parameter_is_refused_with_what_may_have_been_meant(client):
    found = await client.get("/v1/alerts", params={"min_severty": "high"})
    assert found.status_code == 422
    assert found.json()["detail"] == (
        "min_severty: expected a parameter of this path, found none of that name; "
        "did you mean min_severity?"
    )
    assert found.json()["errors"][0]["parameter"] == "min_severty"


async def test_where_nothing_is_near_all_are_named(client):
    found = await client.get("/v1/alerts?nonsense=1&limit=2")
    assert found.status_code == 422
    assert "there are: " in found.json()["detail"]
    assert "limit" in found.json()["detail"]


async def test_it_holds_for_the_api_alone(client):
    assert (await client.get("/v1/ledger?tenat=acme")).status_code == 422
    assert (await client.get("/health?at=1")).status_code == 200  # probes add what they like
    answer = await client.get("/v1/auth/oidc/callback?state=x&code=y&session_state=z")
    assert "session_state" not in answer.text  # as Keycloak sends it


async def test_what_is_given_several_times_is_taken(client):
    assert (await client.get("/v1/findings?state=new&state=recurring")).status_code == 200
