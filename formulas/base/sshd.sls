{%- from 'base/map.jinja' import base with context %}

include:
  - base.admins

/usr/local/sbin/coursehub-sshd-check:
  file.managed:
    - source: salt://base/files/sshd-check
    - mode: '0755'

# 00: of two values sshd takes the first, and cloud-init writes a 50-cloud-init.conf.
/etc/ssh/sshd_config.d/00-coursehub.conf:
  file.managed:
    - source: salt://base/files/sshd.conf
    - template: jinja
    - context:
        sshd: {{ base.sshd | json }}
    - mode: '0600'
    - makedirs: True
    - check_cmd: /usr/local/sbin/coursehub-sshd-check
    - require:
      - pkg: base-packages
      - file: /usr/local/sbin/coursehub-sshd-check
      # Whoever is let in by key has it before passwords are refused.
      - file: /etc/sudoers.d/coursehub-admins

# Marks when sshd last read its configuration, so that a reload which a killed run missed is made up for.
/etc/systemd/system/ssh.service.d/coursehub.conf:
  file.managed:
    - contents: |
        [Service]
        ExecStartPre=/usr/bin/touch /run/coursehub-sshd.loaded
        ExecReload=/usr/bin/touch /run/coursehub-sshd.loaded
    - makedirs: True
    - mode: '0644'
    - require:
      - file: /etc/ssh/sshd_config.d/00-coursehub.conf

base-sshd-reload:
  cmd.run:
    - name: >-
        { systemctl is-enabled --quiet ssh ssh.socket || systemctl enable --quiet --no-reload ssh; } &&
        systemctl daemon-reload && systemctl reload-or-restart ssh && touch /run/coursehub-sshd.loaded
    - unless: >-
        test /run/coursehub-sshd.loaded -nt /etc/ssh/sshd_config.d/00-coursehub.conf &&
        test /run/coursehub-sshd.loaded -nt /etc/ssh/sshd_config
    - require:
      - file: /etc/systemd/system/ssh.service.d/coursehub.conf

# systemd 256 and newer make a second way to sshd by themselves, at a Unix socket that every account may enter, past the
# firewall. This link counts before the unit that they generate.
/etc/systemd/system/sshd-unix-local.socket:
  file.symlink:
    - target: /dev/null

base-sshd-local-end:
  cmd.run:
    - name: >-
        systemctl stop sshd-unix-local.socket && rm -f /run/ssh-unix-local/socket && systemctl daemon-reload
    - onlyif: systemctl is-active --quiet sshd-unix-local.socket
    - require:
      - file: /etc/systemd/system/sshd-unix-local.socket
