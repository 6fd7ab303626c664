{%- from 'base/map.jinja' import base with context %}
{%- set short = base.hostname.split('.')[0] %}

include:
  - base.install

{%- if base.hostname %}
/etc/hostname:
  file.managed:
    - contents: {{ short }}
    - mode: '0644'

/etc/hosts:
  file.managed:
    - source: salt://base/files/hosts
    - template: jinja
    - context:
        fqdn: {{ base.hostname }}
        hostname: {{ short }}
    - mode: '0644'

# Otherwise cloud-init would write both files at each boot.
/etc/cloud/cloud.cfg.d/99-coursehub.cfg:
  file.managed:
    - contents: |
        preserve_hostname: true
        manage_etc_hosts: false
        hostname: {{ short }}
        fqdn: {{ base.hostname }}
    - makedirs: True
    - mode: '0644'

base-hostname:
  cmd.run:
    - name: hostname -F /etc/hostname
    - unless: test "$(cat /proc/sys/kernel/hostname)" = "{{ short }}"
    - require:
      - file: /etc/hostname
      - file: /etc/hosts
{%- endif %}

/etc/timezone:
  file.managed:
    - contents: {{ base.timezone }}
    - mode: '0644'
    - require:
      - pkg: base-packages

/etc/localtime:
  file.symlink:
    - target: /usr/share/zoneinfo/{{ base.timezone }}
    - force: True
    - require:
      - file: /etc/timezone

{%- if base.locale != 'C.UTF-8' %}
base-locale:
  locale.present:
    - name: {{ base.locale }}
    - require:
      - pkg: base-packages
    - require_in:
      - file: /etc/locale.conf
{%- endif %}

# systemd reads the first file, sign-in by PAM the second; on some releases the second is a link to the first.
/etc/locale.conf:
  file.managed:
    - contents: LANG={{ base.locale }}
    - mode: '0644'
    - require:
      - pkg: base-packages

/etc/default/locale:
  file.managed:
    - contents: LANG={{ base.locale }}
    - mode: '0644'
    - require:
      - file: /etc/locale.conf

/etc/systemd/journald.conf.d/50-coursehub.conf:
  file.managed:
    - source: salt://base/files/journald.conf
    - template: jinja
    - context:
        journal: {{ base.journal | json }}
    - makedirs: True
    - mode: '0644'

base-journald:
  cmd.run:
    - name: systemctl try-restart systemd-journald
    - onchanges:
      - file: /etc/systemd/journald.conf.d/50-coursehub.conf

/etc/apt/apt.conf.d/60coursehub-upgrades:
  file.managed:
    - source: salt://base/files/unattended-upgrades.conf
    - template: jinja
    - context:
        upgrades: {{ base.upgrades | json }}
    - mode: '0644'
    - require:
      - pkg: base-packages
