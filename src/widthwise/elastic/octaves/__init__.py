"""What each octave of width has of its own."""
