"""One online model a file, found by `sentinel.registry.discover`; see `detectors.base.Model`."""
