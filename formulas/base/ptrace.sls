{%- from 'base/map.jinja' import own_kernel with context %}

# Only what started a process may trace it, not each program of the same account: some run with more room than the account's
# own, such as a page that reads in a student's home as the student. Ubuntu's kernels come so, Debian's do not.
{%- if own_kernel %}
/etc/sysctl.d/60-coursehub-ptrace.conf:
  file.managed:
    - contents: kernel.yama.ptrace_scope = 1
    - mode: '0644'

base-ptrace:
  cmd.run:
    - name: /usr/lib/systemd/systemd-sysctl /etc/sysctl.d/60-coursehub-ptrace.conf
    # A kernel that is stricter stays so; one without this has no such file.
    - onlyif: grep -qsx 0 /proc/sys/kernel/yama/ptrace_scope
    - require:
      - file: /etc/sysctl.d/60-coursehub-ptrace.conf
{%- endif %}
