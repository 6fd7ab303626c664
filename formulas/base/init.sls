include:
  - base.trust
  - base.apt
  - base.install
  - base.system
  - base.swap
  - base.admins
  - base.sshd
