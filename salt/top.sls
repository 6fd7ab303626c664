base:
  '*':
    - hub
