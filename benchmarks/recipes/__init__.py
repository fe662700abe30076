"""What each recipe gives and how long it takes."""
