"""Top floor: schedules, ratings, running, reports."""
