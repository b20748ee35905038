"""Backend `internvl`: InternVL's own trainer, from the user's checkout and in its own Python."""
