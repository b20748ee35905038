"""The local page on which a reviewer marks chains: its files, its session, its server on loopback."""
