"""What ``sentinel bci`` does besides making and scoring recordings: replay and monitor."""
