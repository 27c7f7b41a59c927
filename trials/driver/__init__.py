"""One study's driver: what is tried next, where it runs, and the directory it writes; `trials.runner` is the door."""
