"""Pages, figures and tables of scaling laws, beside those of `analysis.report`; Plotly too."""
