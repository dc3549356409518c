"""What readers share that ask an API again and again: spans of time, ids seen, answers."""
