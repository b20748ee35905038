"""One file per benchmark: from its own schema to items."""
