"""Exports: everything a search finds, in one file, however much it is.

`rows`    all pages of a search, one after another
`text`    JSON, JSON lines, CSV and XML, item by item
`stix`    alerts as a STIX 2.1 bundle
`report`  a PDF for people: counts, charts, the worst alerts and why they fired

All but the report are written item by item while the pages are read, so memory does not
grow with what is exported. A page is one query: no transaction is held open meanwhile, and
what changes during an export is in it or not, as it comes.
"""
