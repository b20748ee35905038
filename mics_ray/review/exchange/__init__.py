"""Reviews in the tools that a department has: chains and marks as a table (CSV) or Label Studio's tasks, and back."""
