"""The driver of a run and the actors that search: workers, endpoints, writer, on a cluster joined or started here."""
