"""Backend `peft`: transformers' native InternVL with LoRA, under Ray Train."""
