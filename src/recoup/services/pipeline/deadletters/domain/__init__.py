"""What a dead letter is and what may become of it; how a broken event is mended."""
