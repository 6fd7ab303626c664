{% from 'firewall/map.jinja' import firewall with context %}

firewall-packages:
  pkg.installed:
    - pkgs:
        - nftables

# Debian's own file begins with `flush ruleset`, and its unit ends with it: both would take other tables along.
/etc/systemd/system/nftables.service.d/coursehub.conf:
  file.managed:
    - source: salt://firewall/files/nftables-unit.conf
    - makedirs: True
    - mode: '0644'

/etc/nftables.conf:
  file.managed:
    - source: salt://firewall/files/nftables.conf
    - template: jinja
    - context:
        firewall: {{ firewall | tojson }}
    - mode: '0644'
    - check_cmd: /usr/sbin/nft -c -f
    - require:
        - pkg: firewall-packages

# `nft -f` is one transaction: the old rules hold until the new ones do. Judged by what the kernel has and by
# when it was loaded, so that a run which was killed in between, or a hand that flushed the rules, is mended.
firewall-load:
  cmd.run:
    - name: >-
        systemctl enable --quiet --no-reload nftables && systemctl daemon-reload &&
        systemctl reload-or-restart nftables && touch /run/coursehub-firewall.loaded
    - unless: >-
        test /run/coursehub-firewall.loaded -nt /etc/nftables.conf &&
        systemctl is-enabled --quiet nftables &&
        /usr/sbin/nft list table inet coursehub
    - require:
        - file: /etc/nftables.conf
        - file: /etc/systemd/system/nftables.service.d/coursehub.conf
