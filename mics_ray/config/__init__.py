"""The configuration: its schema, how it is composed from files and the command line, and what of it decides results."""
