{%- from 'nginx/map.jinja' import nginx with context %}

include:
  - nginx.install

nginx-acme-webroot:
  file.directory:
    - name: {{ nginx.acme_webroot }}
    - mode: '0755'
    - makedirs: True

/var/www/coursehub/wait.html:
  file.managed:
    - source: salt://nginx/files/wait.html
    - makedirs: True
    - mode: '0644'

/var/www/coursehub/cookies.html:
  file.managed:
    - source: salt://nginx/files/cookies.html
    - makedirs: True
    - mode: '0644'
    - require_in:
      - file: /etc/nginx/nginx.conf

# Made here, once. To rotate it, remove the file and apply; browsers get a new pass without the person noticing.
{{ nginx.owner_secret }}:
  cmd.run:
    - name: >-
        umask 077 &&
        printf 'default "%s";\n' "$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \n')" > {{ nginx.owner_secret }}.new &&
        mv {{ nginx.owner_secret }}.new {{ nginx.owner_secret }}
    - creates: {{ nginx.owner_secret }}
    - require:
      - pkg: nginx-packages
    - require_in:
      - file: /etc/nginx/nginx.conf

/usr/local/sbin/coursehub-holding-certificate:
  file.managed:
    - source: salt://nginx/files/holding-certificate
    - mode: '0755'

{%- for name, values in nginx.sites | dictsort %}
{%- set aliases = values.get('aliases', nginx.site.aliases) %}
# nginx does not start without a certificate, and an ACME server issues none without an answer from nginx.
nginx-holding-certificate-{{ name }}:
  cmd.run:
    - name: >-
        /usr/local/sbin/coursehub-holding-certificate {{ values.certificate }} {{ values.key }}
        {{ ([name] + aliases) | join(' ') }}{{ " '*." ~ name ~ "'" if values.get('subdomains', nginx.site.subdomains) else '' }}
    # A dangling link counts as missing.
    - creates:
      - {{ values.certificate }}
      - {{ values.key }}
    - require:
      - pkg: nginx-packages
      - file: /usr/local/sbin/coursehub-holding-certificate
    - require_in:
      - file: /etc/nginx/nginx.conf
{%- for path, source in values.get('static', nginx.site.static) | dictsort %}

/var/www/coursehub/static/{{ name }}{{ path }}:
  file.managed:
    - source: {{ source }}
    - makedirs: True
    - dir_mode: '0755'
    - mode: '0644'
    - require_in:
      - file: /etc/nginx/nginx.conf
{%- endfor %}
{%- endfor %}

{%- if nginx.downloads %}

nginx-downloads:
  file.managed:
    - name: /etc/tmpfiles.d/coursehub-downloads.conf
    - mode: '0644'
    - contents: |
        # Managed by Salt (formula nginx). A file's time of writing lies in the future. Its age begins then (m).
        d {{ nginx.downloads.root }} 0750 root {{ nginx.user }} m:1s
  cmd.run:
    - name: systemd-tmpfiles --create /etc/tmpfiles.d/coursehub-downloads.conf
    - unless: test -d {{ nginx.downloads.root }}
    - require:
      - file: nginx-downloads
      - pkg: nginx-packages
    - require_in:
      - file: /etc/nginx/nginx.conf
{%- endif %}

# One file contains everything, so the check before the replacement sees what nginx will see.
/etc/nginx/nginx.conf:
  file.managed:
    - source: salt://nginx/files/nginx.conf
    - template: jinja
    - context:
        nginx: {{ nginx | json }}
    - mode: '0644'
    - check_cmd: /usr/sbin/nginx -t -q -c
    - require:
      - pkg: nginx-packages
      - file: nginx-acme-webroot
      - file: /var/www/coursehub/wait.html
