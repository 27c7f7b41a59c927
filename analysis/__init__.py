"""Middle floor: what is known and what it means. Pure: numpy, scipy and plotly only."""
