"""What the sources of Google Cloud share: envelopes, classes, mappings, and ways in."""
