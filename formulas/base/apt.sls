{%- from 'base/map.jinja' import base with context %}

include:
  - base.trust

# Before any other use of apt: cloud-init or the daily timers may hold the lock on a fresh server.
/etc/apt/apt.conf.d/00coursehub:
  file.managed:
    - source: salt://base/files/apt.conf
    - template: jinja
    - context:
        apt: {{ base.apt | json }}
    - mode: '0644'

# The daily timers make it themselves otherwise, readable by everybody. Whoever may open a file may hold its lock, and
# then no security update comes any more.
/var/lib/apt/daily_lock:
  file.managed:
    - contents: ''
    - replace: False
    - mode: '0600'

/usr/local/sbin/coursehub-dpkg-repair:
  file.managed:
    - source: salt://base/files/dpkg-repair
    - mode: '0755'

# A server that lost its power, or a run that was killed, in the middle of dpkg.
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

# It is there. Salt notes at its first state of packages that the lists are to be loaded, and would do so by itself; the
# next state does it better and takes the note away.
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
