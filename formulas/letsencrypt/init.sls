{%- from 'letsencrypt/map.jinja' import letsencrypt with context %}
{%- set first = letsencrypt.names | first | default('') %}

letsencrypt-packages:
  pkg.installed:
    - pkgs:
      - certbot
      - python3-dnspython
{%- if letsencrypt.challenge == 'dns' %}
      - python3-certbot-dns-standalone
{%- endif %}

letsencrypt-command:
  python_package.installed:
    - name: /usr/local/lib/coursehub/coursehub_cert
    - source: salt://letsencrypt/files/coursehub_cert

/usr/local/sbin/coursehub-cert:
  file.managed:
    - source: salt://letsencrypt/files/coursehub-cert
    - mode: '0755'
    - require:
      - python_package: letsencrypt-command

/etc/coursehub/cert.json:
  file.serialize:
    - dataset:
        names: {{ letsencrypt.names | json }}
        email: {{ letsencrypt.email | json }}
        directory: {{ letsencrypt.directory | json }}
        addresses: {{ letsencrypt.addresses | json }}
        webroot: {{ letsencrypt.webroot | json }}
        live: {{ letsencrypt.live or letsencrypt.certificates ~ '/' ~ first }}
        reload: {{ letsencrypt.reload | json }}
        dns_wait: {{ letsencrypt.dns_wait }}
        ttl_wait: {{ letsencrypt.ttl_wait }}
        carried_days: {{ letsencrypt.carried_days }}
        challenge: {{ letsencrypt.challenge }}
        open_dns: {{ letsencrypt.open_dns | json }}
        close_dns: {{ letsencrypt.close_dns | json }}
    - serializer: json
    - makedirs: True
    - mode: '0600'

/etc/letsencrypt/renewal-hooks/deploy/coursehub:
  file.managed:
    - contents: |
        #!/bin/sh
        # certbot's own timer renewed a certificate.
        exec /usr/local/sbin/coursehub-cert deployed
    - makedirs: True
    - mode: '0755'
    - require:
      - pkg: letsencrypt-packages

/etc/systemd/system/coursehub-cert.service:
  file.managed:
    - source: salt://letsencrypt/files/coursehub-cert.service
    - mode: '0644'

/etc/systemd/system/coursehub-cert.timer:
  file.managed:
    - source: salt://letsencrypt/files/coursehub-cert.timer
    - template: jinja
    - context:
        interval: {{ letsencrypt.interval }}
    - mode: '0644'

# After the packages: enabling a unit of a missing package fails.
letsencrypt-renewal-timer:
  service.running:
    - name: certbot.timer
    - enable: True
    - require:
      - pkg: letsencrypt-packages

{%- if letsencrypt.names %}
letsencrypt-certificate:
  acme.certificate:
    - name: {{ first }}
    # It waits for the authority and for DNS; later states need not wait.
    - parallel: True
    - require:
      - pkg: letsencrypt-packages
      - file: /usr/local/sbin/coursehub-cert
      - file: /etc/coursehub/cert.json
      - file: /etc/letsencrypt/renewal-hooks/deploy/coursehub

# Tries again later: names that are not in DNS yet, and a CA that did not answer.
letsencrypt-retry-timer:
  service.running:
    - name: coursehub-cert.timer
    - enable: True
    # It does not require the certificate: the timer must be there even if the order fails.
    - require:
      - file: /usr/local/sbin/coursehub-cert
      - file: /etc/coursehub/cert.json
    - watch:
      - file: /etc/systemd/system/coursehub-cert.service
      - file: /etc/systemd/system/coursehub-cert.timer
{%- endif %}
