"""The search itself: standard library only, no input or output."""
