"""Log files that grow and are rotated: the reader, and how files are told apart."""
