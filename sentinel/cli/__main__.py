"""``python -m sentinel.cli`` is ``sentinel``, for children that must use this interpreter."""

from __future__ import annotations

from sentinel.cli import main

main()
