"""What the unified audit log of Microsoft 365 alone needs: envelopes, classes, mapping, reader."""
