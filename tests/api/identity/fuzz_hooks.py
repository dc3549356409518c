"""What schemathesis is told about our API when `tests.api.identity.fuzz` runs it."""

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
