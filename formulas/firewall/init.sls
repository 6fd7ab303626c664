{%- from 'firewall/map.jinja' import firewall with context %}

include:
  - firewall.way_out

firewall-packages:
  pkg.installed:
    - pkgs:
      - nftables

# Debian's own file begins with `flush ruleset`, and its unit runs that when it stops. Both would delete other tables too.
/etc/systemd/system/nftables.service.d/coursehub.conf:
  file.managed:
    - source: salt://firewall/files/nftables-unit.conf
    - makedirs: True
    - mode: '0644'

{%- for file in ['input', 'output', 'loopback'] %}
/etc/coursehub/firewall/{{ file }}.nft:
  file.managed:
    - source: salt://firewall/files/{{ file }}.nft
    - template: jinja
    - context:
        firewall: {{ firewall | json }}
    - makedirs: True
    - mode: '0644'
    - check_cmd: /usr/sbin/nft -c -f
    - require:
      - pkg: firewall-packages
    - require_in:
      - file: /etc/nftables.conf
{%- endfor %}

/etc/nftables.conf:
  file.managed:
    - source: salt://firewall/files/nftables.conf
    - mode: '0644'
    - check_cmd: /usr/sbin/nft -c -f
    - require:
      - pkg: firewall-packages

/usr/local/sbin/coursehub-firewall-fill:
  file.managed:
    - source: salt://firewall/files/coursehub_firewall_fill.py
    - mode: '0755'

/etc/coursehub/firewall/fill.json:
  file.serialize:
    - dataset:
        agents: {{ firewall.root_only_but | json }}
        closed: {{ firewall.closed | json }}
        way_out: [coursehub-out]
    - serializer: json
    - makedirs: True
    - mode: '0644'

firewall-fill-units:
  file.managed:
    - names:
      - /etc/systemd/system/coursehub-firewall-fill.service:
        - source: salt://firewall/files/coursehub-firewall-fill.service
      - /etc/systemd/system/coursehub-firewall-fill.path:
        - source: salt://firewall/files/coursehub-firewall-fill.path
    - mode: '0644'

# `nft -f` is one transaction: the old rules are in force until the new ones are. The check compares the kernel's rules and
# the time of the last load. So it also repairs a run that was killed in between, and rules that somebody flushed by hand.
firewall-load:
  cmd.run:
    - name: >-
        systemctl enable --quiet --no-reload nftables && systemctl daemon-reload &&
        systemctl reload-or-restart nftables && touch /run/coursehub-firewall.loaded &&
        systemctl enable --quiet --now coursehub-firewall-fill.path &&
        systemctl enable --quiet --no-reload coursehub-firewall-fill.service
    - unless: >-
        test -e /run/coursehub-firewall.loaded &&
        ! find /etc/nftables.conf /etc/coursehub/firewall -newer /run/coursehub-firewall.loaded | grep -q . &&
        systemctl is-enabled --quiet nftables coursehub-firewall-fill.service coursehub-firewall-fill.path &&
        systemctl is-active --quiet coursehub-firewall-fill.path &&
        /usr/local/sbin/coursehub-firewall-fill --check &&
        /usr/sbin/nft list table inet coursehub &&
        /usr/sbin/nft list chain inet coursehub_loopback output
    - require:
      - file: /etc/nftables.conf
      - file: /etc/systemd/system/nftables.service.d/coursehub.conf
      - file: /usr/local/sbin/coursehub-firewall-fill
      - file: /etc/coursehub/firewall/fill.json
      - file: firewall-fill-units
