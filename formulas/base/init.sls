include:
  - base.trust
  - base.install
  - base.system
  - base.swap
  - base.admins
  - base.sshd
