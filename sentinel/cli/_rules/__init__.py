"""What `sentinel rules` does, one part a module."""
