"""fer-study: a reproducible study of facial emotion recognition."""
