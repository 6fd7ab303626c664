{%- from 'base/map.jinja' import base with context %}

include:
  - base.trust

# Comes before any other use of apt: on a fresh server cloud-init or the daily timers may hold the lock.
/etc/apt/apt.conf.d/00coursehub:
  file.managed:
    - source: salt://base/files/apt.conf
    - template: jinja
    - context:
        apt: {{ base.apt | json }}
    - mode: '0644'

# Otherwise the daily timers make this file, readable by everybody. A user who can open a file can hold its lock, and
# then no security update would be installed.
/var/lib/apt/daily_lock:
  file.managed:
    - contents: ''
    - replace: False
    - mode: '0600'

/usr/local/sbin/coursehub-dpkg-repair:
  file.managed:
    - source: salt://base/files/dpkg-repair
    - mode: '0755'

# For a server that lost its power, or a run that was killed, in the middle of dpkg.
base-dpkg-repair:
  cmd.run:
    - name: /usr/local/sbin/coursehub-dpkg-repair {{ base.apt.lock_timeout }}
    - onlyif: find /var/lib/dpkg/updates -type f | grep -q . || dpkg --audit | grep -q .
    - env:
      - DEBIAN_FRONTEND: noninteractive
    - require:
      - file: /etc/apt/apt.conf.d/00coursehub
      - file: /usr/local/sbin/coursehub-dpkg-repair
      - cmd: base-ca-bundle

# apt is always installed. At the first package state Salt sets a flag to load the package lists, and would load them
# itself. The next state does this better and removes the flag.
base-apt:
  pkg.installed:
    - pkgs:
      - apt
    - refresh: False
    - aggregate: False
    - require:
      - cmd: base-dpkg-repair

base-apt-lists:
  apt_lists.fresh:
    - lock_timeout: {{ base.apt.lock_timeout }}
    - require:
      - pkg: base-apt
