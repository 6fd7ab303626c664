{%- from 'nginx/map.jinja' import nginx with context %}

include:
  - nginx.config

nginx-service:
  service.running:
    - name: nginx
    - enable: True
    - require:
      - file: /etc/nginx/nginx.conf

# The package may have started nginx without our unit settings. Later changes of these settings wait for the next start.
nginx-hardened:
  cmd.run:
    - name: systemctl daemon-reload && systemctl restart nginx
    - unless: test -e /run/coursehub-nginx.started
    - require:
      - service: nginx-service

# A reload, not a restart, so open websockets stay. It compares with the time when nginx last read its configuration, so
# it makes up for a reload that a killed run missed.
nginx-reload:
  cmd.run:
    - name: systemctl daemon-reload && systemctl reload nginx
    - unless: >-
        test /run/coursehub-nginx.loaded -nt /etc/nginx/nginx.conf &&
        test /run/coursehub-nginx.loaded -nt {{ nginx.owner_secret }}
    - require:
      - cmd: nginx-hardened
