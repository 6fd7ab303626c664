{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}

# This account reaches only its own files and those of its group: the sockets of hub, servers and "Students' work".
jupyterhub-proxy-account:
  user.present:
    - name: coursehub-proxy
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin

/etc/tmpfiles.d/coursehub.conf:
  file.managed:
    - source: salt://jupyterhub/files/tmpfiles.conf
    - template: jinja
    - mode: '0644'
    - context:
        front_group: {{ jupyterhub.front_group }}

# The directories of the sockets. Checked each time: without them nothing starts.
jupyterhub-places:
  cmd.run:
    - name: >-
        systemd-tmpfiles --create /etc/tmpfiles.d/coursehub.conf && touch /run/coursehub/made ||
        { rm -f /run/coursehub/made; false; }
    - unless: test /run/coursehub/made -nt /etc/tmpfiles.d/coursehub.conf
    - require:
      - user: jupyterhub-proxy-account
      - file: /etc/tmpfiles.d/coursehub.conf
