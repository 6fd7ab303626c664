{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- set root = jupyterhub.root %}
{%- set state = jupyterhub.state %}

include:
  - jupyterhub.install
  - jupyterhub.config
  - jupyterhub.places
  - jupyterhub.work

jupyterhub-units:
  file.managed:
    - names:
      - /etc/systemd/system/jupyterhub.service:
        - source: salt://jupyterhub/files/jupyterhub.service
      - /etc/systemd/system/jupyterhub-proxy.service:
        - source: salt://jupyterhub/files/jupyterhub-proxy.service
    - template: jinja
    - mode: '0644'
    - context: {{ {
        'root': root,
        'state': jupyterhub.state,
        'base_url': jupyterhub.base_url,
        'subdomain_host': jupyterhub.subdomain_host,
      } | json }}

/etc/systemd/system/class.slice:
  file.managed:
    - source: salt://jupyterhub/files/class.slice
    - template: jinja
    - mode: '0644'
    - context: {{ jupyterhub.class_limits | json }}

# Restarted only for its own sake: each restart cuts every student's websocket for a moment.
jupyterhub-proxy:
  service.running:
    - enable: True
    - require:
      - python_package: jupyterhub-inside
      - cmd: jupyterhub-places
    - watch:
      - uv_env: {{ root }}/proxy
      - file: /etc/systemd/system/jupyterhub-proxy.service
      - cmd: {{ jupyterhub.state }}/proxy.env
      - cmd: {{ jupyterhub.state }}/sync.env

jupyterhub:
  service.running:
    - enable: True
    - require:
      - service: jupyterhub-proxy
      - file: /etc/pam.d/jupyterhub
      - file: /etc/systemd/system/class.slice
    - watch:
      - uv_env: {{ root }}/hub
      - file: /etc/jupyterhub/jupyterhub_config.py
      - python_package: jupyterhub-signin
      - python_package: jupyterhub-walls
      - file: jupyterhub-openings
      - python_package: jupyterhub-inside
      - file: {{ root }}/lib/class_page.py
      - file: {{ root }}/lib/class_subdomains.py
{%- if jupyterhub.signin.client_secret %}
      - file: {{ state }}/oauth_client_secret
{%- endif %}
      - file: /etc/systemd/system/jupyterhub.service
      - cmd: {{ jupyterhub.state }}/proxy.env
      - cmd: {{ jupyterhub.state }}/sync.env
      - cmd: {{ jupyterhub.state }}/work.env
      - cmd: {{ jupyterhub.state }}/cookie_secret

# Restarts that a killed run missed are made up for: judged by when each last started.
{%- for unit, files in [
    ('jupyterhub-proxy', [root ~ '/proxy/current', state ~ '/proxy.env', state ~ '/sync.env']),
    ('jupyterhub-work', [root ~ '/hub/current', '/etc/jupyterhub/work.json', state ~ '/work.env', root ~ '/lib/class_work/*']),
    ('jupyterhub', [root ~ '/hub/current', '/etc/jupyterhub/jupyterhub_config.py', state ~ '/proxy.env', state ~ '/sync.env',
                    state ~ '/work.env', state ~ '/cookie_secret', root ~ '/lib/class_signin/*.py',
                    root ~ '/lib/class_inside/*.py', root ~ '/lib/class_walls/*.py', root ~ '/lib/class_work/hub.py', root ~ '/lib/class_work/openings.py', root ~ '/lib/class_page.py',
                    root ~ '/lib/class_subdomains.py'] +
                   ([state ~ '/oauth_client_secret'] if jupyterhub.signin.client_secret else [])),
] %}

{{ unit }}-current:
  cmd.run:
    - name: systemctl daemon-reload && systemctl restart {{ unit }}
    - unless: >-
        test -e /run/{{ unit }}.started &&
        ! find {{ files | join(' ') }} /etc/systemd/system/{{ unit }}.service -newer /run/{{ unit }}.started | grep -q .
    - require:
      - service: {{ unit }}
{%- endfor %}
