"""Many trials on Ray: agenda, workers, finals, jobs; `trials.driver.run_study` is the door."""
