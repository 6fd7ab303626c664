{%- from 'base/map.jinja' import base with context %}

include:
  - base.admins

/usr/local/sbin/coursehub-sshd-check:
  file.managed:
    - source: salt://base/files/sshd-check
    - mode: '0755'

# 00: sshd uses the first of two values, and cloud-init writes a 50-cloud-init.conf.
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
      # Admins have their keys before passwords are refused.
      - file: /etc/sudoers.d/coursehub-admins

# Notes when sshd last read its configuration, so that the next run makes up for a reload that a killed run missed.
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

# systemd 256 and newer generate a second way to sshd: a Unix socket that every account can reach, past the firewall.
# This link overrides the generated unit.
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
