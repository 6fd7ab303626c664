# A course's server gets what all parts of a server must agree on (server), the school's values (site), the translated
# course file (hub: it reads the course file, the class list and the secrets; what no formula asks for stays here), and
# what the runner knows about the server (runtime). The minion's id is the course's id.
base:
  '*':
    - server
    - site
    - hub
    - runtime.{{ opts.id }}
    - ignore_missing: true
