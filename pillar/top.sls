# A course's server sees the school's facts, its own course file, what both mean for each formula, and what the
# runner knows of the server itself. The minion's id is the course's id.
base:
  '*':
    - site
    - courses.{{ opts.id }}
    - hub
    - runtime.{{ opts.id }}
    - ignore_missing: true
