"""The intent: one YAML file as checked specs, and the directory that holds a study."""
