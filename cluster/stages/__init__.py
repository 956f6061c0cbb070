"""How a stage runs, resumes and reports (`run`), and one file for each stage."""
