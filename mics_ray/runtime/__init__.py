"""The one package that imports ray: actors, driver, progress."""
