{%- from 'base/map.jinja' import base, own_kernel with context %}

# In a container the kernel refuses swapon.
{%- if base.swap and own_kernel %}
/swapfile:
  cmd.run:
    # Made under a temporary name first, so that an existing /swapfile is always complete.
    - name: >-
        umask 077 && rm -f /swapfile.new &&
        fallocate -l {{ base.swap }}M /swapfile.new && mkswap /swapfile.new && mv /swapfile.new /swapfile
    - creates: /swapfile
    # The class's files are more important than swap.
    - onlyif: test "$(df --output=avail -m / | tail -n 1)" -gt {{ base.swap * 2 }}

base-swap:
  mount.swap:
    - name: /swapfile
    - persist: True
    - onlyif: test -e /swapfile
    - require:
      - cmd: /swapfile

/etc/sysctl.d/60-coursehub-swap.conf:
  file.managed:
    - contents: vm.swappiness = 10
    - mode: '0644'
{%- endif %}
