# For the wrapper's own test: changes something at every run.
restless:
  cmd.run:
    - name: 'true'
