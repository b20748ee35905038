"""One file per written form of an export."""
