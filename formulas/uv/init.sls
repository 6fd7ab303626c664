{%- from 'uv/map.jinja' import uv with context %}
{%- set home = uv.root ~ '/' ~ uv.version %}

uv-packages:
  pkg.installed:
    - pkgs: {{ uv.pkgs | json }}
    # Separate and early, so that the environments download while apt installs the rest.
    - aggregate: False

{{ uv.root }}/uv.txt:
  file.managed:
    - source: salt://uv/files/uv.txt
    - mode: '0644'
    - makedirs: True

# Built under another name and then renamed, so that a killed run leaves no incomplete uv that looks complete. Three
# tries, because pip's own retries do not help if a download breaks off in the middle.
{{ home }}:
  cmd.run:
    - name: >-
        rm -rf {{ home }} &&
        for wait in 0 5 15; do
        sleep $wait; rm -rf {{ home }}.new;
        {{ uv.python }} "$(echo /usr/share/python-wheels/pip-*.whl)/pip" install --quiet --disable-pip-version-check
        --no-cache-dir --require-hashes --no-deps --only-binary :all: --retries 5
        --target {{ home }}.new --requirement {{ uv.root }}/uv.txt && break;
        done &&
        mv {{ home }}.new {{ home }} && ln -sfn {{ home }}/bin/uv {{ uv.root }}/uv
    - creates:
      - {{ home }}/bin/uv
      - {{ uv.root }}/uv
    - env:
      - PIP_CERT: {{ uv.ca_bundle }}
      - PIP_ROOT_USER_ACTION: ignore
    - require:
      - pkg: uv-packages
      - file: {{ uv.root }}/uv.txt
