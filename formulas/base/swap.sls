{% from 'base/map.jinja' import base with context %}

# A container shares its host's swap: the kernel refuses swapon there, and grains say so.
{% if base.swap and grains.get('virtual_subtype', '') == '' and grains.get('virtual', '') not in ('container', 'LXC', 'systemd-nspawn') %}
/swapfile:
  cmd.run:
    # To a temporary name first: a file that is there is a whole one.
    - name: >-
        umask 077 && rm -f /swapfile.new &&
        fallocate -l {{ base.swap }}M /swapfile.new && mkswap /swapfile.new && mv /swapfile.new /swapfile
    - creates: /swapfile
    # Room for the class's work comes before swap.
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
{% endif %}
