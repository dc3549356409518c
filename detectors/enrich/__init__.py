"""What is known of the addresses, names and hashes in events: pure look-ups, in batches.

Nothing here asks the network: feeds, lists and databases are files that were fetched before
(`connectors._intel`). All tables are immutable; a new one takes the place of the old in one
assignment while events flow (`detectors.enrich.enricher.Enricher.swap`), and whoever looks
things up meanwhile keeps the one that it began with.

What is looked up are the *distinct* values of a batch's columns, not its rows.
"""
