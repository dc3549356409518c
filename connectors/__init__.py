"""One file a source: how to read it and how to say it in OCSF.

A connector is found by walking this package (`sentinel.registry.discover`); its
module name is the source's name, the suffix of its topic (``raw.<name>``), its
metric label and the name of its test. The mapping is a pure function of bytes, so
the same code runs in the normalize stage, in ``sentinel normalize`` and in tests.
Libraries of one source alone are imported inside the method that needs them.
"""
