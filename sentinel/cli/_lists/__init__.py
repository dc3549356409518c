"""What the commands that list something share: their options, and the way rows are shown."""
