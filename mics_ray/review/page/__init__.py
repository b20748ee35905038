"""The page: HTML, its scripts and styles, charts as pictures, the cases' pictures as files."""
