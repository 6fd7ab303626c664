{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- set root = jupyterhub.root %}
{%- set state = jupyterhub.state %}
{#- The configuration contains no names and no secret. The texts of the pages are read at each request. -#}
{%- set settings = {} %}
{%- for key, value in jupyterhub.items() if key not in ('identities', 'names', 'page', 'upgrade', 'work', 'unseen_by_work') %}
{%-   do settings.update({key: value}) %}
{%- endfor %}
{%- do settings.update({'signin': salt['slsutil.merge'](jupyterhub.signin, {'client_secret': jupyterhub.signin.client_secret != ''})}) %}

include:
  - jupyterhub.install
  - jupyterhub.page

{{ state }}:
  file.directory:
    - user: root
    - group: root
    - mode: '0700'

# Made once: a new one signs everybody out or disconnects the hub from its proxy. To rotate one, remove the file and apply.
{%- for file, prefix in [('proxy.env', 'CONFIGPROXY_AUTH_TOKEN='), ('sync.env', 'ROUTE_SYNC_TOKEN='), ('work.env', 'STUDENTS_WORK_TOKEN='),
                          ('cookie_secret', '')] %}

{{ state }}/{{ file }}:
  cmd.run:
    - name: >-
        umask 077 &&
        printf '{{ prefix }}%s\n' "$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \n')" > {{ state }}/{{ file }}.new &&
        mv {{ state }}/{{ file }}.new {{ state }}/{{ file }}
    - creates: {{ state }}/{{ file }}
    - require:
      - file: {{ state }}
{%- endfor %}

/etc/pam.d/jupyterhub:
  file.managed:
    - source: salt://jupyterhub/files/pam
    - mode: '0644'

jupyterhub-helpers:
  file.managed:
    - names:
      - {{ root }}/check_config.py:
        - source: salt://jupyterhub/files/check_config.py
    - mode: '0644'
    - makedirs: True

# Files that do not compile never replace working ones. Whether everything loads is checked once, with the configuration.
{%- for id, package in [('signin', 'class_signin'), ('walls', 'class_walls'), ('inside', 'class_inside'), ('openings', 'class_openings')] %}

jupyterhub-{{ id }}:
  python_package.installed:
    - name: {{ root }}/lib/{{ package }}
    - source: salt://jupyterhub/files/{{ package }}
{%- endfor %}

# Read at each sign-in, so adding or removing a person restarts nothing.
{{ state }}/identities.json:
  file.serialize:
    - dataset: {{ jupyterhub.identities | json }}
    - serializer: json
    - mode: '0600'
    - show_changes: False
    - require:
      - file: {{ state }}
{%- if jupyterhub.signin.client_secret %}

{{ state }}/oauth_client_secret:
  file.managed:
    - contents_pillar: jupyterhub:signin:client_secret
    - mode: '0600'
    - show_changes: False
    - require:
      - file: {{ state }}
{%- else %}

# Left over from an earlier kind of sign-in. It is removed only after the configuration stops using it.
{{ state }}/oauth_client_secret:
  file.absent:
    - require:
      - file: /etc/jupyterhub/jupyterhub_config.py
{%- endif %}

# check_cmd: a configuration with which the hub would not start never replaces a working one.
/etc/jupyterhub/jupyterhub_config.py:
  file.managed:
    - source: salt://jupyterhub/files/jupyterhub_config.py
    - template: jinja
    - mode: '0600'
    - makedirs: True
    - dir_mode: '0700'
    - context:
        settings: {{ settings | json }}
    - check_cmd: {{ root }}/hub/current/bin/python -B {{ root }}/check_config.py
    - tmp_ext: .py
    - require:
      - uv_env: {{ root }}/hub
      - file: jupyterhub-helpers
      - python_package: jupyterhub-signin
      - python_package: jupyterhub-walls
      - python_package: jupyterhub-openings
      - python_package: jupyterhub-inside
{%- if jupyterhub.signin.client_secret %}
      - file: {{ state }}/oauth_client_secret
{%- endif %}
