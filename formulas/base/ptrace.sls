{%- from 'base/map.jinja' import own_kernel with context %}

# Only a process's parent may trace it, not every program of the same account. Some processes of an account have fewer
# limits than the account's own, such as the reader of a student's home that runs as the student. This is the default in
# Ubuntu's kernels, but not in Debian's.
{%- if own_kernel %}
/etc/sysctl.d/60-coursehub-ptrace.conf:
  file.managed:
    - contents: kernel.yama.ptrace_scope = 1
    - mode: '0644'

base-ptrace:
  cmd.run:
    - name: /usr/lib/systemd/systemd-sysctl /etc/sysctl.d/60-coursehub-ptrace.conf
    # A stricter kernel stays strict; a kernel without this setting has no such file.
    - onlyif: grep -qsx 0 /proc/sys/kernel/yama/ptrace_scope
    - require:
      - file: /etc/sysctl.d/60-coursehub-ptrace.conf
{%- endif %}
