"""Our own Sigma rules, one a file, by source; the proof of each lies under ``tests/detectors/rules``."""
