"""Pages, figures and tables for people; with `analysis.law_report` the only room with Plotly."""
