{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}

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
        'root': jupyterhub.root,
        'state': jupyterhub.state,
        'database_copy': jupyterhub.database_copy,
        'base_url': jupyterhub.base_url,
        'subdomain_host': jupyterhub.subdomain_host,
      } | json }}

/etc/systemd/system/class.slice:
  file.managed:
    - source: salt://jupyterhub/files/class.slice
    - template: jinja
    - mode: '0644'
    - context: {{ jupyterhub.class_limits | json }}
