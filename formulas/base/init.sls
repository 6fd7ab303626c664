include:
  - base.trust
  - base.apt
  - base.install
  - base.system
  - base.swap
  - base.ptrace
  - base.admins
  - base.sshd
