"""Pages, figures and tables for people; the only room with Plotly."""
