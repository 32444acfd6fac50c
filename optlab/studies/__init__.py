"""What is found out with runs: races on surfaces, tuning, demonstrations, diagnosis, figures."""
