"""How answers are sent: compressed, not at all where they are known, and in one piece."""
