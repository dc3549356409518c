"""One module a resource, each with its ``router``, found by `api.app`; no list to edit."""
