{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- from 'jupyterhub/restarts.jinja' import files, restarts, watch with context %}
{%- set root = jupyterhub.root %}

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

# Restarted only for its own changes: each restart interrupts every student's websocket for a moment.
jupyterhub-proxy:
  service.running:
    - enable: True
    - require:
      - python_package: jupyterhub-inside
      - cmd: jupyterhub-places
    - watch: {{ watch('jupyterhub-proxy') }}

jupyterhub:
  service.running:
    - enable: True
    - require:
      - service: jupyterhub-proxy
      - file: /etc/pam.d/jupyterhub
      - file: /etc/systemd/system/class.slice
    - watch: {{ watch('jupyterhub') }}

# Makes up for restarts that a killed run missed: compares each unit's last start with its files.
{%- for unit in restarts %}

{{ unit }}-current:
  cmd.run:
    - name: systemctl daemon-reload && systemctl restart {{ unit }}
    - unless: >-
        test -e /run/{{ unit }}.started &&
        ! find {{ files(unit) }}-newer /run/{{ unit }}.started | grep -q .
    - require:
      - service: {{ unit }}
{%- endfor %}
