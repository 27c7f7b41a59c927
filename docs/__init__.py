"""The documentation, and the script that fills its generated parts."""
