"""The search language: ``user:alice AND NOT severity:low AND time>now-24h``.

What people know from Lucene and from Kibana's query bar, over the columns of alerts and
events, and over whatever the source of an event wrote:

``word`` ``"several words"`` ``adm*``
    Words of the text, upper or lower case; those in quotes one after another.
``field:value`` ``field:"value"`` ``field:ab*`` ``field:(a OR b)`` ``field:*``
    A column: as it is written, with ``*`` and ``?`` for any characters and for one, any of
    several, or not empty. Quotes switch the meaning of every special character off; outside
    of them a backslash does so for one.
``score>=0.8`` ``time>now-24h`` ``severity:[medium TO critical]`` ``count:{1 TO 10]``
    Comparisons and ranges; ``{`` and ``}`` leave the bound out, ``*`` is no bound.
    Times are ISO 8601 (a day is the whole day) or ``now``, ``now-7d``, ``now-1d/d``.
``src_ip:192.0.2.0/24``
    The addresses of a network.
``raw.userIdentity.type:Root``
    A field of the event as its source wrote it.
``AND`` ``OR`` ``NOT`` ``-`` ``( )``
    Two terms beside each other must both hold. NOT binds before AND, and AND before OR.

`parse` turns a text into the nodes of `nodes`, checked against the `fields` of what is
searched; `to_sql` and `to_elasticsearch` turn nodes into a condition of PostgreSQL, where
every value is a parameter, and into a query of Elasticsearch. Both mean the same
(``tests/api/test_language_contract.py``): columns are compared as written, byte for byte,
words without regard to the case of ASCII letters.
"""
