{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- set root = jupyterhub.root %}
{%- set state = jupyterhub.state %}

include:
  - jupyterhub.install

{{ state }}:
  file.directory:
    - user: root
    - group: root
    - mode: '0700'

# Made here, once, and never again: a new one signs everybody out or cuts the hub from its proxy. To rotate one, remove
# the file and apply.
{{ state }}/proxy.env:
  cmd.run:
    - name: >-
        umask 077 &&
        printf 'CONFIGPROXY_AUTH_TOKEN=%s\n' "$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \n')" > {{ state }}/proxy.env.new &&
        mv {{ state }}/proxy.env.new {{ state }}/proxy.env
    - creates: {{ state }}/proxy.env
    - require:
      - file: {{ state }}

{{ state }}/cookie_secret:
  cmd.run:
    - name: >-
        umask 077 &&
        od -An -vtx1 -N32 /dev/urandom | tr -d ' \n' > {{ state }}/cookie_secret.new &&
        mv {{ state }}/cookie_secret.new {{ state }}/cookie_secret
    - creates: {{ state }}/cookie_secret
    - require:
      - file: {{ state }}

/etc/pam.d/jupyterhub:
  file.managed:
    - source: salt://jupyterhub/files/pam
    - mode: '0644'

jupyterhub-helpers:
  file.managed:
    - names:
      - {{ root }}/check_config.py:
        - source: salt://jupyterhub/files/check_config.py
      - {{ root }}/wait_ready.py:
        - source: salt://jupyterhub/files/wait_ready.py
    - mode: '0644'
    - makedirs: True

# check_cmd: a configuration with which the hub would not start never replaces one with which it runs.
/etc/jupyterhub/jupyterhub_config.py:
  file.managed:
    - source: salt://jupyterhub/files/jupyterhub_config.py
    - template: jinja
    - mode: '0600'
    - makedirs: True
    - dir_mode: '0700'
    - context:
        settings: {{ jupyterhub | json }}
    - check_cmd: {{ root }}/hub/current/bin/python {{ root }}/check_config.py
    - tmp_ext: .py
    - require:
      - uv_env: {{ root }}/hub
      - file: jupyterhub-helpers
