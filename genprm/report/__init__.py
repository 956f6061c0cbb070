"""What people look at: tables, plots, pages and the evaluation report."""
