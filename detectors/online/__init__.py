"""Parts of the detect step: hashes and bounded tables, features, duplicates, signals."""
