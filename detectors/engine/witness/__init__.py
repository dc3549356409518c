"""Which rules an event can match at all, told from what its fields show.

``literals``   the literal that a regular expression cannot do without
``index``      witnesses, clauses, and what a value of a field leaves possible
``looks``      a look at one field, or at the whole text, of many events
``needles``    keywords looked for in raw JSON
``plan``       which fields are looked at, chosen by what was seen
``candidates`` the candidates of a batch
"""
