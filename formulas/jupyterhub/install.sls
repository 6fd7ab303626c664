{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- set root = jupyterhub.root %}

include:
  - uv

# Before everything else: `coursehub upgrade` tries another version of the hub first (docs/decisions/upgrade.md).
jupyterhub-version:
  hub_version.unchanged:
    - requirements: salt://jupyterhub/files/hub.txt
    - link: {{ root }}/hub/current
    - database: {{ jupyterhub.state }}/jupyterhub.sqlite
    - allowed: {{ jupyterhub.upgrade.allowed }}
    - went_back: {{ jupyterhub.upgrade.went_back }}
    - python: {{ jupyterhub.python }}
    - order: first
    - failhard: True

# First: the environments below are made in parallel, and other states would create this directory at the same moment.
{{ root }}:
  file.directory:
    - user: root
    - group: root
    - mode: '0755'

{%- for name, imports, npm in [
    ('hub', ['jupyterhub.app', 'systemdspawner', 'jupyterhub_idle_culler', 'pamela', 'sqlalchemy.dialects.sqlite',
             'oauthenticator.google', 'oauthenticator.azuread', 'ltiauthenticator.lti13.auth'], []),
    ('proxy', [], ['salt://jupyterhub/files/proxy/package.json', 'salt://jupyterhub/files/proxy/package-lock.json']),
] %}

{{ root }}/{{ name }}:
  uv_env.installed:
    - requirements: salt://jupyterhub/files/{{ name }}.txt
    - npm: {{ npm | json }}
    - imports: {{ imports | json }}
    - link: {{ root }}/{{ name }}/current
    - keep: {{ jupyterhub.keep }}
    - bytecode: {{ jupyterhub.bytecode }}
    - uv: {{ jupyterhub.uv }}
    - python: {{ jupyterhub.python }}
    - parallel: True
    - require:
      - sls: uv
      - file: {{ root }}
{%- endfor %}

# The proxy serves this page while the hub or a server is down; the hub's own page would be down too.
{{ root }}/error/error.html:
  file.managed:
    - source: salt://jupyterhub/files/away.html
    - template: jinja
    - mode: '0644'
    - makedirs: True
    - dir_mode: '0755'
    - context:
        base_url: {{ jupyterhub.base_url }}
