"""What a worker does with a chunk of targets."""
