{%- from 'base/map.jinja' import base with context %}

# Certificates come first: behind a proxy that inspects TLS, a package mirror or index can only be used with its authority.
/usr/local/share/ca-certificates/coursehub:
  file.directory:
    - mode: '0755'
    - makedirs: True
    # An authority that was removed from the pillar is no longer trusted.
    - clean: True

{%- for name, pem in base.extra_ca | dictsort %}
/usr/local/share/ca-certificates/coursehub/{{ name }}.crt:
  file.managed:
    - contents: {{ pem | json }}
    - mode: '0644'
    - makedirs: True
    - require_in:
      - file: /usr/local/share/ca-certificates/coursehub
{%- endfor %}

# Compares times instead of using `onchanges`: after a run that was killed between the files and the bundle, the next run
# still makes the bundle.
base-ca-bundle:
  cmd.run:
    # The links to a removed authority stay behind and dangle.
    - name: update-ca-certificates && find /etc/ssl/certs -xtype l -delete
    - onlyif: >-
        command -v update-ca-certificates &&
        { test ! -s /etc/ssl/certs/ca-certificates.crt ||
        find /usr/local/share/ca-certificates -newer /etc/ssl/certs/ca-certificates.crt | grep -q . ; }
    - require:
      - file: /usr/local/share/ca-certificates/coursehub
