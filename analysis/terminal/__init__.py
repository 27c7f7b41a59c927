"""What the commands print about a study, as plain text; tables of laws are in `analysis.law_report`."""
