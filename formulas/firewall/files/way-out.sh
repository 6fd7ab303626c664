# Managed by Salt (formula firewall). Programs find the proxy through these. Read at the start of a person's server.
https_proxy=http://127.0.0.1:{{ people.way_out.port }}
http_proxy=$https_proxy
no_proxy=localhost,127.0.0.1,::1{% for name in people.way_out.direct %},{{ name }}{% endfor %}

HTTPS_PROXY=$https_proxy HTTP_PROXY=$http_proxy NO_PROXY=$no_proxy
export https_proxy http_proxy no_proxy HTTPS_PROXY HTTP_PROXY NO_PROXY
