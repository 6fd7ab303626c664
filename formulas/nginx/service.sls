{%- from 'nginx/map.jinja' import nginx with context %}

include:
  - nginx.config

nginx-service:
  service.running:
    - name: nginx
    - enable: True
    - require:
      - file: /etc/nginx/nginx.conf

# The package may have started nginx without our unit's settings; later changes of those wait for its next start.
nginx-hardened:
  cmd.run:
    - name: systemctl daemon-reload && systemctl restart nginx
    - unless: test -e /run/coursehub-nginx.started
    - require:
      - service: nginx-service

# Reload, not restart: open websockets stay. Judged by when nginx last read its configuration, so that a reload
# which a killed run missed is made up for.
nginx-reload:
  cmd.run:
    - name: systemctl daemon-reload && systemctl reload nginx
    - unless: >-
        test /run/coursehub-nginx.loaded -nt /etc/nginx/nginx.conf &&
        test /run/coursehub-nginx.loaded -nt {{ nginx.owner_secret }}
    - require:
      - cmd: nginx-hardened
