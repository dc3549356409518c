"""What sources of JSON objects share: cutting up, decoding, columns, times, OCSF's frame.

A source of JSON subclasses `connectors._json.connector.JsonConnector`, names the fields it
reads, and says two things: the columns of an event, and the OCSF objects of its class.
"""
