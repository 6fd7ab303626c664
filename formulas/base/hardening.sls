{%- from 'base/map.jinja' import own_kernel with context %}

include:
  - base.install

# A container uses its host's kernel and may not change its settings.
{%- if own_kernel %}
/etc/sysctl.d/60-coursehub-hardening.conf:
  file.managed:
    - source: salt://base/files/sysctl.conf
    - mode: '0644'

# Compares with the kernel's values, so the next run makes up for a killed one. A key that this kernel lacks is skipped.
base-sysctl:
  cmd.run:
    - name: /usr/lib/systemd/systemd-sysctl /etc/sysctl.d/60-coursehub-hardening.conf
    - unless: >-
        grep '^[a-z]' /etc/sysctl.d/60-coursehub-hardening.conf | tr -d ' ' | while IFS='=' read -r key value; do
        file=/proc/sys/$(echo "$key" | tr . /); test ! -e "$file" || test "$(cat "$file")" = "$value" || exit 1; done
    - require:
      - file: /etc/sysctl.d/60-coursehub-hardening.conf
{%- endif %}

/etc/modprobe.d/coursehub.conf:
  file.managed:
    - source: salt://base/files/modprobe.conf
    - mode: '0644'
    - makedirs: True

base-banner:
  file.managed:
    - names:
      - /etc/issue
      - /etc/issue.net
    - source: salt://base/files/issue
    - mode: '0644'

# A core dump of a server contains what it had in memory, also passwords, and fills the disk.
/etc/security/limits.d/coursehub.conf:
  file.managed:
    - contents: |
        # Managed by Salt (formula base).
        * hard core 0
        root hard core 0
    - mode: '0644'
    - makedirs: True

/etc/systemd/coredump.conf.d/coursehub.conf:
  file.managed:
    - contents: |
        # Managed by Salt (formula base).
        [Coredump]
        Storage=none
        ProcessSizeMax=0
    - mode: '0644'
    - makedirs: True

/etc/profile.d/coursehub-core.sh:
  file.managed:
    - contents: ulimit -c 0
    - mode: '0644'

# sudo runs commands in a new terminal, so that they cannot type into the caller's.
/etc/sudoers.d/coursehub-defaults:
  file.managed:
    - contents: |
        # Managed by Salt (formula base).
        Defaults env_reset
        Defaults use_pty
        Defaults ignore_dot
        Defaults umask=0077
    - mode: '0440'
    - check_cmd: /usr/sbin/visudo -c -q -f
    - require:
      - pkg: base-packages

/etc/systemd/system/service.d/zz-coursehub.conf:
  file.managed:
    - source: salt://base/files/service.conf
    - mode: '0644'
    - makedirs: True

# Running services get the limits at their next start.
base-service-limits:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: /etc/systemd/system/service.d/zz-coursehub.conf

# For programs that hash a password without PAM; Debian 12 still has SHA512. The rounds are for programs that choose SHA.
{%- for key, value in {'ENCRYPT_METHOD': 'YESCRYPT', 'SHA_CRYPT_MIN_ROUNDS': 65536, 'SHA_CRYPT_MAX_ROUNDS': 65536}.items() %}
base-login-{{ key }}:
  file.replace:
    - name: /etc/login.defs
    - pattern: '^[#\s]*{{ key }}[ \t]+\S+[ \t]*$'
    - repl: {{ key }} {{ value }}
    - append_if_not_found: True
    - backup: False
{%- endfor %}

# Only root can read its files already; this hides their names too.
/etc/sudoers.d:
  file.directory:
    - mode: '0750'
    - require:
      - pkg: base-packages
