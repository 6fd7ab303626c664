# A course's server gets what all parts of a server agree on, the school's facts, what its course file means for each
# formula (hub.sls reads it, the class list and the secrets: people's names, and what no formula asks for, stay here), and
# what the runner knows of the server itself. The minion's id is the course's id.
base:
  '*':
    - server
    - site
    - hub
    - runtime.{{ opts.id }}
    - ignore_missing: true
