# For the wrapper's own test: fails at every run.
failing:
  cmd.run:
    - name: echo the reason >&2; false
