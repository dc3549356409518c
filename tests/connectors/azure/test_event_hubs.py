"""Event Hubs: what librdkafka is told, and tokens of the real azure-identity."""

import confluent_kafka
import pytest

from connectors._azure.reading.event_hubs import EventHubsReader, EventHubsSettings
from connectors.azure_activity import AzureActivity

STRING = (
    "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=r;SharedAccessKey=a2V5;"
    "EntityPath=logs"
)


@pytest.fixture
def config(made):
    def config(**settings):
        settings = EventHubsSettings(topics=["logs"], **settings)
        return made(EventHubsReader(settings, AzureActivity()))._config()

    return config


def test_a_connection_string_is_a_password_and_names_the_namespace(config):
    found = config(connection_string=STRING)

    assert found["bootstrap.servers"] == "shop.servicebus.windows.net:9093"
    assert (found["security.protocol"], found["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    assert (found["sasl.username"], found["sasl.password"]) == ("$ConnectionString", STRING)
    assert found["group.id"] == "$Default"
    confluent_kafka.Consumer(found).close()  # librdkafka knows every one of them


def test_an_identity_gets_a_token_for_the_namespace(account, login, config):
    found = config(bootstrap="shop.servicebus.windows.net", **account)

    assert found["sasl.mechanism"] == "OAUTHBEARER"
    token, expires = found["oauth_cb"]("")
    assert login.tokens.good(token)
    assert expires > 0
