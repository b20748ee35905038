"""What the page and the terminal show of a run, as plain data: cases, trees, figures of the whole run. No HTML here."""
