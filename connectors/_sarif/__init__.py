"""SARIF: runs taken apart, each result with its rule."""
