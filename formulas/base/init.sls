include:
  - base.trust
  - base.apt
  - base.install
  - base.system
  - base.renew
  - base.swap
  - base.ptrace
  - base.admins
  - base.sshd
