"""Where objects lie in S3, which of them have been read, and how they are cut into records."""
