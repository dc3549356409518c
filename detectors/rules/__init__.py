"""Our own Sigma rules, one a file, by source; their proof lies under ``tests/detectors/rules``."""
