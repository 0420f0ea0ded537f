"""Tasks: task.toml, the plug-ins that it names, what is better."""
