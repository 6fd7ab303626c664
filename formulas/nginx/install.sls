# Written before the package is installed, so that the first nginx that starts is hardened.
/etc/systemd/system/nginx.service.d/coursehub.conf:
  file.managed:
    - source: salt://nginx/files/nginx-unit.conf
    - makedirs: True
    - mode: '0644'

nginx-packages:
  pkg.installed:
    - pkgs:
      - logrotate
      - nginx
      - openssl
    - require:
      - file: /etc/systemd/system/nginx.service.d/coursehub.conf
