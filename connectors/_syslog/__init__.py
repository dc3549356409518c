"""What syslog alone needs: framing, both formats, and what well-known programs say."""
